using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace LsglangSharp.Support;

/// <summary>Reads expectations from safetensors files that are known to be well-formed; independent of the reader under test.</summary>
public static class Golden
{
    /// <summary>All int32 tensors of a file, flattened.</summary>
    public static IReadOnlyDictionary<string, int[]> ReadInt32(string path) =>
        Read(path, "I32", bytes => MemoryMarshal.Cast<byte, int>(bytes).ToArray());

    /// <summary>All float32 tensors of a file, flattened.</summary>
    public static IReadOnlyDictionary<string, float[]> ReadFloat32(string path) =>
        Read(path, "F32", bytes => MemoryMarshal.Cast<byte, float>(bytes).ToArray());

    private static Dictionary<string, T[]> Read<T>(string path, string type, Func<byte[], T[]> convert)
    {
        var file = File.ReadAllBytes(path);
        var headerBytes = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        using var header = JsonDocument.Parse(file.AsMemory(8, headerBytes));
        var tensors = new Dictionary<string, T[]>(StringComparer.Ordinal);
        foreach (var tensor in header.RootElement.EnumerateObject())
        {
            if (tensor.Name == "__metadata__" || tensor.Value.GetProperty("dtype").GetString() != type)
            {
                continue;
            }

            var ends = tensor.Value.GetProperty("data_offsets");
            var begin = 8 + headerBytes + ends[0].GetInt32();
            tensors[tensor.Name] = convert(file[begin..(8 + headerBytes + ends[1].GetInt32())]);
        }

        return tensors;
    }
}
