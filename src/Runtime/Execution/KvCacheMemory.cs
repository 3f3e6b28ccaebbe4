using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Execution;

/// <summary>Allocates the pages of every attention layer in a device's memory.</summary>
public sealed class KvCacheMemory(IDeviceMemory memory, DType type, int pages, int pageSize)
{
    public KvLayer Allocate(Gqa layer)
    {
        var rows = checked(pages * layer.KvHeads * pageSize);
        return new KvLayer(
            memory.Allocate(type, rows, layer.HeadDim),
            memory.Allocate(type, rows, layer.HeadDim),
            pageSize,
            layer.KvHeads,
            layer.HeadDim);
    }
}
