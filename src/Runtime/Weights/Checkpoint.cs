using System.Buffers;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Weights;

/// <summary>The safetensors files of a model folder.</summary>
public sealed class Checkpoint : IWeightSource, IDisposable
{
    private readonly string _folder;
    private readonly List<SafetensorsFile> _files = [];
    private readonly Dictionary<string, (int File, StoredTensor Tensor)> _tensors = new(StringComparer.Ordinal);

    private Checkpoint(string folder)
    {
        _folder = folder;
    }

    /// <summary>Opens the files and checks their headers; no weight is read yet.</summary>
    public static Checkpoint Open(string folder)
    {
        var checkpoint = new Checkpoint(folder);
        try
        {
            checkpoint.OpenFiles(CheckpointIndex.Open(folder));
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    public IReadOnlyList<TensorReader> Open(IReadOnlyList<TensorSpec> tensors)
    {
        var problems = new Problems();
        var used = new HashSet<string>(StringComparer.Ordinal);
        var readers = new List<TensorReader>(tensors.Count);
        foreach (var tensor in tensors)
        {
            if (Find(tensor) is not { } source)
            {
                problems.Missing.Add(tensor.Name);
                continue;
            }

            used.Add(source.Name);
            var (file, stored) = _tensors[source.Name];
            if (!stored.Shape.SequenceEqual(source.Shape))
            {
                problems.Misshapen.Add(
                    $"{stored.Name} is [{string.Join(", ", stored.Shape)}] and not " +
                    $"[{string.Join(", ", source.Shape)}]");
            }
            else if (ElementType(stored) is not { } type)
            {
                problems.Mistyped.Add($"{stored.Name} is {stored.TypeName}");
            }
            else
            {
                readers.Add(new Reader(tensor, file, _files[file], stored, type, source.RowStart));
            }
        }

        problems.LeftOver.AddRange(
            _tensors.Keys.Where(name => !used.Contains(name) && !IsHarmless(name)).Order(StringComparer.Ordinal));
        problems.ThrowIfAny(_folder);
        return readers;
    }

    public void Dispose()
    {
        foreach (var file in _files)
        {
            file.Dispose();
        }

        _files.Clear();
    }

    private void OpenFiles(CheckpointIndex index)
    {
        foreach (var path in index.Files)
        {
            var file = SafetensorsFile.Open(path);
            _files.Add(file);
            foreach (var tensor in file.Tensors)
            {
                if (index.FileOf.TryGetValue(tensor.Name, out var named) && named != path)
                {
                    continue;
                }

                if (!_tensors.TryAdd(tensor.Name, (_files.Count - 1, tensor)))
                {
                    throw new ConfigurationException(
                        $"tensor {tensor.Name} is in two files: {_files[_tensors[tensor.Name].File].Path} and {path}");
                }
            }
        }

        string[] absent =
            [.. index.FileOf.Keys.Where(name => !_tensors.ContainsKey(name)).Order(StringComparer.Ordinal)];
        if (absent.Length > 0)
        {
            throw new ConfigurationException(
                $"{_folder}: {absent.Length} tensors are not in the file that the index names for them: " +
                NameList.Shorten(absent));
        }
    }

    private TensorSource? Find(TensorSpec tensor) => _tensors.ContainsKey(tensor.Name)
        ? new TensorSource(tensor.Name, tensor.Shape, 0)
        : tensor.Alternatives.FirstOrDefault(source => _tensors.ContainsKey(source.Name));

    private static DType? ElementType(StoredTensor tensor) => tensor.TypeName switch
    {
        "F32" => DType.F32,
        "F16" => DType.F16,
        "BF16" => DType.BF16,
        _ => null,
    };

    /// <summary>
    /// Old exports keep the rotary frequencies, which follow from the configuration, and some keep a copy of the
    /// embedding as the head of a model whose head is tied.
    /// </summary>
    private static bool IsHarmless(string name) =>
        name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal) || name == "lm_head.weight";

    /// <summary>What does not fit, to be told all at once.</summary>
    private sealed class Problems
    {
        public List<string> Missing { get; } = [];

        public List<string> Misshapen { get; } = [];

        public List<string> Mistyped { get; } = [];

        public List<string> LeftOver { get; } = [];

        public void ThrowIfAny(string folder)
        {
            string[] lines =
            [
                .. Line(Missing, "missing"), .. Line(Misshapen, "of another shape"),
                .. Line(Mistyped, "of a type that is not supported"), .. Line(LeftOver, "left over"),
            ];
            if (lines.Length > 0)
            {
                throw new ConfigurationException(
                    $"the weights in {folder} do not fit its config.json: " + string.Join("; ", lines));
            }
        }

        private static IEnumerable<string> Line(List<string> names, string what) =>
            names.Count == 0 ? [] : [$"{names.Count} {what}: {NameList.Shorten(names)}"];
    }

    /// <summary>Reads rows of a stored tensor, or of the part of it that one tensor of the model is.</summary>
    private sealed class Reader(
        TensorSpec tensor, int fileIndex, SafetensorsFile file, StoredTensor stored, DType storedType, long firstRow)
        : TensorReader(tensor)
    {
        /// <summary>Bytes on their way to a conversion: they stay in the second-level cache.</summary>
        private const int ScratchBytes = 256 << 10;

        public override (int File, long Offset) Position =>
            (fileIndex, stored.Begin + (firstRow * Tensor.Columns * storedType.Bytes()));

        public override void ReadElements(long first, DType type, Span<byte> target)
        {
            var offset = ((firstRow * Tensor.Columns) + first) * storedType.Bytes();
            if (type == storedType)
            {
                file.Read(stored, offset, target);
                return;
            }

            var scratch = ArrayPool<byte>.Shared.Rent(ScratchBytes);
            var elementsMax = ScratchBytes / storedType.Bytes();
            while (target.Length > 0)
            {
                var elements = Math.Min(elementsMax, target.Length / type.Bytes());
                var raw = scratch.AsSpan(0, elements * storedType.Bytes());
                file.Read(stored, offset, raw);
                if (!ElementConversion.Convert(raw, storedType, target[..(elements * type.Bytes())], type))
                {
                    throw new ConfigurationException(
                        $"tensor {stored.Name} of {file.Path} has values that float16 cannot hold; use " +
                        "--dtype bfloat16 or float32");
                }

                offset += raw.Length;
                target = target[(elements * type.Bytes())..];
            }

            ArrayPool<byte>.Shared.Return(scratch);
        }
    }
}
