using System.Globalization;
using System.Text;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// Writes a model folder with dummy weights in bfloat16, so that loading can be measured without a published
/// checkpoint.
/// </summary>
internal static class DummyCheckpoint
{
    private const long ShardBytes = 1 << 30;

    /// <summary>dummy-checkpoint CONFIG_FOLDER TARGET_FOLDER [OVERRIDES]</summary>
    public static int Run(string[] arguments)
    {
        if (arguments.Length is not (2 or 3))
        {
            Console.Error.WriteLine("usage: dummy-checkpoint CONFIG_FOLDER TARGET_FOLDER [OVERRIDES_AS_JSON]");
            return 2;
        }

        var target = Directory.CreateDirectory(arguments[1]).FullName;
        var config = File.ReadAllText(Path.Combine(arguments[0], "config.json"));
        if (arguments.Length == 3)
        {
            // A later key of the same name counts.
            config = config.TrimEnd()[..^1] + ", " + arguments[2].Trim()[1..];
        }

        File.WriteAllText(Path.Combine(target, "config.json"), config);
        var spec = ModelFolder.Open(target).Spec;
        var shards = Shards(spec);
        for (var i = 0; i < shards.Count; i++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"model-{i + 1:00000}-of-{shards.Count:00000}.safetensors");
            Write(Path.Combine(target, name), shards[i]);
            Console.WriteLine(name);
        }

        return 0;
    }

    private static List<List<TensorSpec>> Shards(ModelSpec spec)
    {
        List<List<TensorSpec>> shards = [[]];
        long bytes = 0;
        foreach (var tensor in spec.Tensors)
        {
            if (bytes > ShardBytes)
            {
                shards.Add([]);
                bytes = 0;
            }

            shards[^1].Add(tensor);
            bytes += tensor.ElementCount * DType.BF16.Bytes();
        }

        return shards;
    }

    private static void Write(string path, List<TensorSpec> tensors)
    {
        var header = new StringBuilder("{");
        long end = 0;
        foreach (var tensor in tensors)
        {
            var begin = end;
            end += tensor.ElementCount * DType.BF16.Bytes();
            header.Append(CultureInfo.InvariantCulture, $"{(begin == 0 ? "" : ",")}\"{tensor.Name}\":");
            header.Append(CultureInfo.InvariantCulture, $"{{\"dtype\":\"BF16\",\"shape\":[{string.Join(',', tensor.Shape)}],");
            header.Append(CultureInfo.InvariantCulture, $"\"data_offsets\":[{begin},{end}]}}");
        }

        var json = Encoding.UTF8.GetBytes(header.Append('}').ToString());
        using var file = File.Create(path);
        file.Write(BitConverter.GetBytes((ulong)json.Length));
        file.Write(json);
        foreach (var reader in new DummyWeights(1).Open(tensors))
        {
            WriteRows(file, reader);
        }
    }

    private static void WriteRows(FileStream file, TensorReader reader)
    {
        var tensor = reader.Tensor;
        var rowBytes = (int)tensor.Columns * DType.BF16.Bytes();
        var step = (int)Math.Clamp((8 << 20) / rowBytes, 1, tensor.Rows);
        var buffer = new byte[step * rowBytes];
        for (long row = 0; row < tensor.Rows; row += step)
        {
            var rows = (int)Math.Min(step, tensor.Rows - row);
            reader.Read(row, rows, DType.BF16, buffer.AsSpan(0, rows * rowBytes));
            file.Write(buffer, 0, rows * rowBytes);
        }
    }
}
