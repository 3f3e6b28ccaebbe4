using System.Runtime.InteropServices;
using System.Text.Json;

namespace LsglangSharp.Runtime.Tests.Sampling;

/// <summary>
/// Reads the tensors of a truth table: the few lines that a test needs, independent of the product's reader.
/// </summary>
internal sealed class SafetensorsTable
{
    private readonly byte[] _bytes;
    private readonly int _data;
    private readonly JsonElement _header;

    public SafetensorsTable(string path)
    {
        _bytes = File.ReadAllBytes(path);
        var length = (int)BitConverter.ToUInt64(_bytes);
        _data = 8 + length;
        _header = JsonDocument.Parse(_bytes.AsMemory(8, length)).RootElement;
    }

    public T[] Read<T>(string name)
        where T : unmanaged
    {
        var offsets = _header.GetProperty(name).GetProperty("data_offsets");
        var start = _data + offsets[0].GetInt32();
        return MemoryMarshal.Cast<byte, T>(_bytes.AsSpan(start, _data + offsets[1].GetInt32() - start)).ToArray();
    }
}
