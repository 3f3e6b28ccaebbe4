using System.Buffers.Binary;
using System.Text.Json.Nodes;

namespace LsglangSharp.Support;

/// <summary>Writes small safetensors files.</summary>
public sealed class SafetensorsWriter
{
    private readonly JsonObject _header = [];
    private readonly List<byte> _data = [];

    public SafetensorsWriter Add(string name, string type, long[] shape, ReadOnlySpan<byte> bytes)
    {
        _header[name] = new JsonObject
        {
            ["dtype"] = type,
            ["shape"] = new JsonArray([.. shape.Select(extent => (JsonNode)extent)]),
            ["data_offsets"] = new JsonArray(_data.Count, _data.Count + bytes.Length),
        };
        _data.AddRange(bytes);
        return this;
    }

    public byte[] ToArray()
    {
        var header = System.Text.Encoding.UTF8.GetBytes(_header.ToJsonString());
        var file = new byte[8 + header.Length + _data.Count];
        BinaryPrimitives.WriteInt64LittleEndian(file, header.Length);
        header.CopyTo(file, 8);
        _data.CopyTo(file, 8 + header.Length);
        return file;
    }

    public void Save(string path) => File.WriteAllBytes(path, ToArray());
}
