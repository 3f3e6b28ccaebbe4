using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Support;

namespace LsglangSharp.GpuPrefill.Tests.Launch;

/// <summary>
/// Arguments are declared twice, in C# and in the kernels' sources: the two are compared field for field, by name, order and
/// type. Sizes as a whole are compared with the PTX whenever a kernel is looked up.
/// </summary>
public sealed partial class ArgsTests
{
    private static readonly Dictionary<string, string> _sources = Sources();

    public static TheoryData<string> Structs =>
        [.. Declared().Where(type => type.Name.EndsWith("Args", StringComparison.Ordinal) || _sources.ContainsKey(type.Name))
            .Select(type => type.Name)];

    [Theory]
    [MemberData(nameof(Structs))]
    public void Fields_are_those_of_the_kernels_source(string name)
    {
        Assert.True(_sources.TryGetValue(name, out var body), $"no kernel source declares struct {name}");
        var type = Declared().Single(declared => declared.Name == name);

        var expected = Members(body!).ToArray();
        var actual = type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .OrderBy(field => Marshal.OffsetOf(type, field.Name).ToInt32())
            .Select(field => (field.Name, Kind(field.FieldType)));

        Assert.NotEmpty(expected);
        Assert.Equal(expected, actual);
    }

    [Fact]
    public void Every_struct_of_arguments_has_its_twin() =>
        Assert.NotEmpty(Structs);

    private static IEnumerable<Type> Declared() => typeof(KernelSet).Assembly.GetTypes().Where(
        type => type is { IsValueType: true, IsEnum: false, IsNested: false, Namespace: "LsglangSharp.GpuPrefill.Launch" });

    /// <summary>What stands between the braces of each struct, without comments.</summary>
    private static Dictionary<string, string> Sources()
    {
        var folder = Path.Combine(Repository.Root, "src/GpuPrefill/Kernels");
        var found = new Dictionary<string, string>();
        foreach (var file in Directory.EnumerateFiles(folder, "*.cu*", SearchOption.AllDirectories))
        {
            foreach (Match match in Struct().Matches(Comment().Replace(File.ReadAllText(file), "")))
            {
                found[match.Groups["name"].Value] = match.Groups["body"].Value;
            }
        }

        return found;
    }

    /// <summary>Each member's name as C# writes it, and what it is.</summary>
    private static IEnumerable<(string Name, string Kind)> Members(string body)
    {
        foreach (var line in body.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var match = Member().Match(line);
            Assert.True(match.Success, $"not understood: {line}");
            var type = match.Groups["type"].Value;
            foreach (var name in match.Groups["names"].Value.Split(',', StringSplitOptions.TrimEntries))
            {
                yield return (Pascal(name), type.Contains('*', StringComparison.Ordinal) ? "pointer" : Kind(type.Replace("const", "").Trim()));
            }
        }
    }

    private static string Kind(string type) => type switch
    {
        "u64" or "i64" => "8 bytes",
        "u32" or "i32" => "4 bytes",
        "u16" or "i16" => "2 bytes",
        "u8" => "1 byte",
        "float" => "float",
        _ => type,
    };

    private static string Kind(Type type) => type switch
    {
        _ when type == typeof(nint) => "pointer",
        _ when type == typeof(long) || type == typeof(ulong) => "8 bytes",
        _ when type == typeof(int) || type == typeof(uint) || type.IsEnum => "4 bytes",
        _ when type == typeof(short) || type == typeof(ushort) => "2 bytes",
        _ when type == typeof(byte) => "1 byte",
        _ when type == typeof(float) => "float",
        _ => type.Name,
    };

    private static string Pascal(string snake)
    {
        var text = new StringBuilder();
        foreach (var word in snake.Split('_', StringSplitOptions.RemoveEmptyEntries))
        {
            text.Append(char.ToUpperInvariant(word[0])).Append(word, 1, word.Length - 1);
        }

        return text.ToString();
    }

    [GeneratedRegex(@"//[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"struct\s+(alignas\(\d+\)\s+)?(?<name>\w+)\s*\{(?<body>[^{}]*)\}")]
    private static partial Regex Struct();

    [GeneratedRegex(@"^(?<type>[\w\s*]*[\s*])(?<names>\w+(\s*,\s*\w+)*)$", RegexOptions.Singleline)]
    private static partial Regex Member();
}
