using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Text.Json;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Weights;

/// <summary>
/// One tensor of a safetensors file: its bytes are [Begin, End) of the data that follows the header, little-endian,
/// row-major.
/// </summary>
internal sealed record StoredTensor(string Name, string TypeName, ImmutableArray<long> Shape, long Begin, long End);

/// <summary>
/// The header of a safetensors file: a little-endian u64 with the length of a JSON object, the object, then the
/// tensors' bytes without gap or overlap. Files come from strangers: every number is checked before it is used.
/// </summary>
internal static class Safetensors
{
    /// <summary>Bytes of the length before the header.</summary>
    public const int LengthBytes = 8;

    /// <summary>The format's own limit.</summary>
    public const int HeaderBytesMax = 100_000_000;

    private const int RankMax = 16;

    /// <summary>Bits of one element of every type that the format knows.</summary>
    private static readonly FrozenDictionary<string, int> _elementBits = new Dictionary<string, int>
    {
        ["BOOL"] = 8, ["U8"] = 8, ["I8"] = 8, ["U16"] = 16, ["I16"] = 16,
        ["U32"] = 32, ["I32"] = 32, ["U64"] = 64, ["I64"] = 64,
        ["F4"] = 4, ["F6_E2M3"] = 6, ["F6_E3M2"] = 6,
        ["F8_E4M3"] = 8, ["F8_E5M2"] = 8, ["F8_E8M0"] = 8, ["F8_E4M3FNUZ"] = 8, ["F8_E5M2FNUZ"] = 8,
        ["F16"] = 16, ["BF16"] = 16, ["F32"] = 32, ["F64"] = 64, ["C64"] = 64,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>The length of the header, checked against the length of the file.</summary>
    public static int HeaderLength(ReadOnlySpan<byte> first, long fileBytes, string path)
    {
        if (fileBytes < LengthBytes || first.Length < LengthBytes)
        {
            throw Corrupt(path, $"it has {fileBytes} bytes, fewer than the length of a header takes");
        }

        var length = BinaryPrimitives.ReadUInt64LittleEndian(first);
        if (length > HeaderBytesMax)
        {
            throw Corrupt(path, $"its header claims {length} bytes, the format allows {HeaderBytesMax}");
        }

        return length <= (ulong)(fileBytes - LengthBytes)
            ? (int)length
            : throw Corrupt(
                path,
                $"its header claims {length} bytes, but only {fileBytes - LengthBytes} follow; is it truncated?");
    }

    /// <summary>
    /// The tensors, by position; together they fill the <paramref name="dataBytes"/> after the header.
    /// </summary>
    public static ImmutableArray<StoredTensor> ParseHeader(ReadOnlySpan<byte> json, long dataBytes, string path)
    {
        try
        {
            var tensors = new HeaderReader(json, path).Read();
            tensors.Sort((a, b) => (a.Begin, a.End).CompareTo((b.Begin, b.End)));
            RequireFilled(tensors, dataBytes, path);
            return [.. tensors];
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw Corrupt(path, $"its header is not valid JSON: {error.Message}", error);
        }
    }

    private static void RequireFilled(List<StoredTensor> tensors, long dataBytes, string path)
    {
        long end = 0;
        foreach (var tensor in tensors)
        {
            if (tensor.Begin != end)
            {
                var what = tensor.Begin < end ? "overlaps the one before it" : "leaves a hole before it";
                throw Corrupt(
                    path,
                    $"tensor {tensor.Name} at bytes {tensor.Begin} to {tensor.End} {what}, which ends at {end}");
            }

            end = tensor.End;
        }

        if (end != dataBytes)
        {
            throw Corrupt(
                path,
                $"its tensors take {end} bytes, the file has {dataBytes} of them; " +
                (end > dataBytes ? "it is truncated" : "something was appended to it"));
        }
    }

    internal static ConfigurationException Corrupt(string path, string what, Exception? inner = null) =>
        new($"{path} is not a sound safetensors file: {Printable(what)}", inner);

    /// <summary>What a stranger's file put into a message must not steer a terminal or fill it.</summary>
    private static string Printable(string text) =>
        string.Concat(text.Take(500).Select(c => char.IsControl(c) ? '?' : c));

    /// <summary>Walks the JSON of a header.</summary>
    private ref struct HeaderReader(ReadOnlySpan<byte> json, string path)
    {
        private readonly List<StoredTensor> _tensors = [];
        private readonly HashSet<string> _names = new(StringComparer.Ordinal);
        private readonly SortedSet<string> _unknownTypes = new(StringComparer.Ordinal);
        private Utf8JsonReader _json = new(json);

        public List<StoredTensor> Read()
        {
            Expect(JsonTokenType.StartObject, "an object");
            while (NextName() is { } name)
            {
                if (!_names.Add(name))
                {
                    throw Corrupt(path, $"tensor {name} is there twice");
                }

                if (name == "__metadata__")
                {
                    ReadMetadata();
                }
                else
                {
                    ReadTensor(name);
                }
            }

            // Only white space may follow; the reader throws at anything else.
            _json.Read();
            return _unknownTypes.Count == 0
                ? _tensors
                : throw Corrupt(path, $"unknown element types {string.Join(", ", _unknownTypes.Take(10))}");
        }

        private void ReadMetadata()
        {
            Expect(JsonTokenType.StartObject, "an object of strings under __metadata__");
            while (NextName() is not null)
            {
                Expect(JsonTokenType.String, "strings under __metadata__");
            }
        }

        private void ReadTensor(string name)
        {
            string? type = null;
            ImmutableArray<long>? shape = null;
            ImmutableArray<long>? offsets = null;
            Expect(JsonTokenType.StartObject, $"an object for tensor {name}");
            while (NextName() is { } key)
            {
                switch (key)
                {
                    case "dtype" when type is null:
                        type = Text(name);
                        break;
                    case "shape" when shape is null:
                        shape = Numbers(name, RankMax);
                        break;
                    case "data_offsets" when offsets is null:
                        offsets = Numbers(name, 2);
                        break;
                    default:
                        throw Corrupt(path, $"tensor {name} has a key {key} that does not belong there");
                }
            }

            if (type is null || shape is null || offsets is not { Length: 2 } range)
            {
                throw Corrupt(path, $"tensor {name} lacks dtype, shape or two data_offsets");
            }

            Add(new StoredTensor(name, type, shape.Value, range[0], range[1]));
        }

        private readonly void Add(StoredTensor tensor)
        {
            if (!_elementBits.TryGetValue(tensor.TypeName, out var bits))
            {
                _unknownTypes.Add(tensor.TypeName);
                return;
            }

            // Exact up to 2^64; a product beyond that stays too large, unless it is by zero. Extents are below 2^63.
            var total = tensor.Shape.Aggregate((UInt128)bits, (product, extent) =>
                extent != 0 && product > ulong.MaxValue ? product : product * (ulong)extent);
            if (total % 8 != 0 || tensor.End < tensor.Begin || total / 8 != (UInt128)(tensor.End - tensor.Begin))
            {
                throw Corrupt(
                    path,
                    $"tensor {tensor.Name} of {tensor.TypeName} [{string.Join(", ", tensor.Shape)}] does not have " +
                    $"the size of its bytes {tensor.Begin} to {tensor.End}");
            }

            _tensors.Add(tensor);
        }

        private ImmutableArray<long> Numbers(string name, int countMax)
        {
            Expect(JsonTokenType.StartArray, $"a list of numbers for tensor {name}");
            var numbers = ImmutableArray.CreateBuilder<long>();
            while (_json.Read() && _json.TokenType != JsonTokenType.EndArray)
            {
                if (_json.TokenType != JsonTokenType.Number || !_json.TryGetInt64(out var number) || number < 0
                    || numbers.Count == countMax)
                {
                    throw Corrupt(path, $"tensor {name}: expected at most {countMax} whole numbers");
                }

                numbers.Add(number);
            }

            return numbers.ToImmutable();
        }

        private string Text(string name)
        {
            Expect(JsonTokenType.String, $"a string as dtype of tensor {name}");
            return _json.GetString()!;
        }

        private string? NextName()
        {
            _json.Read();
            if (_json.TokenType == JsonTokenType.EndObject)
            {
                return null;
            }

            var name = _json.GetString()!;
            return name.Any(char.IsControl) ? throw Corrupt(path, $"the name {name} has control characters") : name;
        }

        private void Expect(JsonTokenType token, string what)
        {
            if (!_json.Read() || _json.TokenType != token)
            {
                throw Corrupt(path, $"expected {what} at byte {_json.TokenStartIndex} of its header");
            }
        }
    }
}
