using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace LsglangSharp.Support;

/// <summary>A tiny checkpoint and what its reference implementation computes from it.</summary>
public sealed class GoldenCase
{
    private readonly byte[] _file;
    private readonly JsonElement _header;
    private readonly int _dataStart;

    private GoldenCase(string name, string folder)
    {
        Name = name;
        Folder = folder;
        _file = File.ReadAllBytes(Path.Combine(folder, "expected.safetensors"));
        var length = (int)BinaryPrimitives.ReadInt64LittleEndian(_file);
        _header = JsonDocument.Parse(_file.AsMemory(8, length)).RootElement;
        _dataStart = 8 + length;
        Prompt = Integers("prompt");
        Greedy = Integers("greedy");
        Logits = Floats("logits");
        GreedyLogits = Floats("greedy_logits");
        BFloat16Logits = _header.TryGetProperty("logits_bf16", out _) ? Floats("logits_bf16") : [];
        Hidden = Floats("hidden");
        LargestLogit = Logits.Max(Math.Abs);
    }

    /// <summary>The cases that lie in the repository.</summary>
    public static IReadOnlyList<string> Names { get; } = ["qwen3_moe", "qwen3_moe_mixed", "qwen3", "llama3"];

    /// <summary>Cases of the reference data beside the repository that can be run, too.</summary>
    public static IReadOnlyList<string> FurtherNames { get; } = ["mistral", "mixtral", "qwen2", "fmt_f16", "fmt_f32"];

    public string Name { get; }

    public string Folder { get; }

    public int[] Prompt { get; }

    /// <summary>The continuation that follows the prompt when the largest logit always wins.</summary>
    public int[] Greedy { get; }

    /// <summary>[prompt, vocabulary], in float32 arithmetic.</summary>
    public float[] Logits { get; }

    /// <summary>The logits that chose each token of <see cref="Greedy"/>.</summary>
    public float[] GreedyLogits { get; }

    /// <summary>The reference's own run in bfloat16; empty where there is none.</summary>
    public float[] BFloat16Logits { get; }

    /// <summary>[layers + 1, prompt, hidden]: the embeddings, then the residual after each layer.</summary>
    public float[] Hidden { get; }

    public float LargestLogit { get; }

    public int Vocabulary => Logits.Length / Prompt.Length;

    /// <summary>How far bfloat16 moves the reference itself, as a share of the largest logit.</summary>
    public double BFloat16Deviation => Share(BFloat16Logits, Logits);

    public static GoldenCase Open(string name) => Names.Contains(name)
        ? new(name, Path.Combine(Repository.Root, "tests/Golden", name))
        : new(name, Repository.SharedPath("goldens", "models", name)!);

    /// <summary>The largest difference between logits as a share of the largest logit of the case.</summary>
    public double Share(ReadOnlySpan<float> actual, ReadOnlySpan<float> expected) =>
        Deviation.Largest(actual, expected) / LargestLogit;

    /// <summary>The experts of each token in a layer, ascending; null for a layer without.</summary>
    public int[]? Experts(int layer) =>
        _header.TryGetProperty($"experts.{layer}", out _) ? Integers($"experts.{layer}") : null;

    private float[] Floats(string name) => Values<float>(name, "F32");

    private int[] Integers(string name) => Values<int>(name, "I32");

    private T[] Values<T>(string name, string type)
        where T : unmanaged
    {
        var tensor = _header.GetProperty(name);
        if (tensor.GetProperty("dtype").GetString() != type)
        {
            throw new InvalidDataException($"{Folder}: {name} is not {type}");
        }

        var ends = tensor.GetProperty("data_offsets");
        var (start, end) = (_dataStart + ends[0].GetInt32(), _dataStart + ends[1].GetInt32());
        return MemoryMarshal.Cast<byte, T>(_file.AsSpan(start..end)).ToArray();
    }
}
