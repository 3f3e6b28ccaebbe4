using System.Buffers.Binary;
using System.Text;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Weights;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Weights;

public sealed class SafetensorsTests
{
    [Fact]
    public void Reads_names_types_shapes_and_places()
    {
        const string json = """
            {"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[],"data_offsets":[6,10]},
             "a":{"data_offsets":[0,6],"shape":[3,1],"dtype":"BF16"},"empty":{"dtype":"I8","shape":[4,0],"data_offsets":[10,10]}}
            """;

        var tensors = Parse(json, 10);

        Assert.Equal(["a BF16 3,1 0-6", "b F32  6-10", "empty I8 4,0 10-10"], tensors.Select(tensor =>
            $"{tensor.Name} {tensor.TypeName} {string.Join(',', tensor.Shape)} {tensor.Begin}-{tensor.End}"));
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}}""", 7, "does not have the size")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "does not have the size")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 9, "something was appended")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "truncated")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "hole")]
    [InlineData(
        """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}""",
        3,
        "overlaps")]
    [InlineData(
        """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}""",
        3,
        "twice")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""",
        0,
        "does not have the size")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807,2],"data_offsets":[0,0]}}""",
        0,
        "does not have the size")]
    [InlineData("""{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,0]}}""", 0, "whole numbers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}""", 0, "whole numbers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,0]}}""", 0, "whole numbers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""", 4, "whole numbers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}""", 4, "lacks")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", 4, "lacks")]
    [InlineData(
        """{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}""",
        4,
        "F99, Q4")]
    [InlineData("""{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}""", 1, "does not have the size")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1}}""", 4, "does not belong there")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "does not belong there")]
    [InlineData("""{"a\u0000":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "control characters")]
    [InlineData("""{"a\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "not valid JSON")]
    [InlineData("""{"__metadata__":{"format":{"x":1}}}""", 0, "strings under __metadata__")]
    [InlineData("""{} {}""", 0, "not valid JSON")]
    [InlineData("""{"a":""", 0, "")]
    [InlineData("""[]""", 0, "expected an object")]
    [InlineData("", 0, "")]
    public void Refuses_a_header_that_is_not_sound(string json, long dataBytes, string reason)
    {
        var error = Assert.Throws<ConfigurationException>(() => Parse(json, dataBytes));

        Assert.StartsWith("m.safetensors is not a sound safetensors file", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Depth_is_limited()
    {
        var deep = "{\"a\":" + new string('[', 100_000) + new string(']', 100_000) + "}";

        Assert.Throws<ConfigurationException>(() => Parse(deep, 0));
    }

    [Theory]
    [InlineData(100_000_001, 200_000_000, "allows 100000000")]
    [InlineData(ulong.MaxValue, 1000, "allows 100000000")]
    [InlineData(993, 1000, "truncated")]
    public void Refuses_a_header_that_is_longer_than_the_file_or_the_format_allows(ulong length, long fileBytes, string reason)
    {
        var first = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(first, length);

        var error = Assert.Throws<ConfigurationException>(() => Safetensors.HeaderLength(first, fileBytes, "m.safetensors"));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void Refuses_a_file_without_room_for_a_length(int bytes)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.File("m.safetensors"), new byte[bytes]);

        Assert.Throws<ConfigurationException>(() => SafetensorsFile.Open(folder.File("m.safetensors")));
    }

    [Fact]
    public void No_mutation_of_a_file_gets_past_the_reader_as_anything_but_a_clear_error()
    {
        var sound = new SafetensorsWriter()
            .Add("model.embed_tokens.weight", "BF16", [4, 3], new byte[24])
            .Add("model.norm.weight", "F32", [3], new byte[12])
            .Add("lm_head.weight", "F16", [4, 3], new byte[24])
            .ToArray();
        var random = new Random(20260722);
        var refused = 0;

        for (var round = 0; round < 20_000; round++)
        {
            refused += IsRefused(Mutate(sound, random)) ? 1 : 0;
        }

        // Many mutations are harmless (a byte of a weight, a letter of a name), but not most.
        Assert.InRange(refused, 10_000, 19_990);
    }

    /// <summary>
    /// Opens the bytes as <see cref="SafetensorsFile"/> does and checks what an accepted header promises.
    /// </summary>
    private static bool IsRefused(byte[] file)
    {
        try
        {
            var length = Safetensors.HeaderLength(file.AsSpan(0, Math.Min(8, file.Length)), file.Length, "m.safetensors");
            var dataBytes = file.Length - 8 - length;
            var tensors = Safetensors.ParseHeader(file.AsSpan(8, length), dataBytes, "m.safetensors");

            Assert.Equal(dataBytes, tensors.Sum(tensor => tensor.End - tensor.Begin));
            Assert.All(tensors, tensor => Assert.InRange(tensor.End, tensor.Begin, dataBytes));
            return false;
        }
        catch (ConfigurationException error)
        {
            Assert.DoesNotContain(error.Message, char.IsControl);
            return true;
        }
    }

    private static byte[] Mutate(byte[] sound, Random random)
    {
        var file = sound.ToList();
        for (var count = random.Next(1, 5); count > 0 && file.Count > 0; count--)
        {
            var at = random.Next(Math.Min(file.Count, random.Next(2) == 0 ? 24 : file.Count));
            switch (random.Next(6))
            {
                case 0:
                    file[at] = (byte)random.Next(256);
                    break;
                case 1:
                    file[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    file.RemoveRange(at, Math.Min(random.Next(1, 20), file.Count - at));
                    break;
                case 3:
                    file.InsertRange(at, file.GetRange(at, Math.Min(random.Next(1, 60), file.Count - at)));
                    break;
                case 4:
                    file.InsertRange(at, Encoding.UTF8.GetBytes(_tokens[random.Next(_tokens.Length)]));
                    break;
                default:
                    file.RemoveRange(at, file.Count - at);
                    break;
            }
        }

        return [.. file];
    }

    private static readonly string[] _tokens =
    [
        "{", "}", "[", "]", ":", ",", "\"", "\\u0000", "\\ud800", "\u0000", "-1", "18446744073709551616", "9223372036854775807", "1e308",
        "null", "true", "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"__metadata__\":{}", "[[[[[[[[", "\"F64\"", "/*", "\u00ff",
    ];

    private static System.Collections.Immutable.ImmutableArray<StoredTensor> Parse(string json, long dataBytes) =>
        Safetensors.ParseHeader(Encoding.UTF8.GetBytes(json), dataBytes, "m.safetensors");
}
