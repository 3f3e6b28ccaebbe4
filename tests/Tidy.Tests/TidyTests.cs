using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace LsglangSharp.Tidy.Tests;

/// <summary>The style guide, as far as a machine can hold it. A rule that is not here is advice.</summary>
public sealed partial class TidyTests
{
    private const int LinesMax = 600;
    private const int ColumnsMax = 140;

    private static readonly string _root = Path.GetFullPath(Path.Combine(Here(), "../../.."));

    /// <summary>Project references that src may have.</summary>
    public static TheoryData<string, string[]> Imports => new()
    {
        { "Runtime", [] },
        { "NumaExperts", ["Runtime"] },
        { "GpuPrefill", ["Runtime"] },
        { "Api", ["Runtime", "NumaExperts", "GpuPrefill"] },
    };

    /// <summary>Folders of Runtime in an order in which each uses only those before it.</summary>
    public static TheoryData<string, string[]> Folders => new()
    {
        { "Primitives", [] },
        { "Specs", ["Primitives"] },
        { "Models", ["Primitives", "Specs"] },
        { "Ports", ["Primitives", "Specs"] },
        { "Reference", ["Primitives", "Specs", "Ports"] },
        { "Weights", ["Primitives", "Specs", "Models", "Ports"] },
        { "Placement", ["Primitives", "Specs", "Models", "Ports", "Weights"] },
        { "Layers", ["Primitives", "Specs", "Ports", "Weights", "Placement"] },
        { "Execution", ["Primitives", "Specs", "Models", "Ports", "Weights", "Placement", "Layers"] },
        { "Text", ["Primitives"] },
        { "Text/Templates", ["Primitives", "Text"] },
        { "Parsing", ["Primitives", "Text", "Text/Templates"] },
        { "KvCache", ["Primitives"] },
        { "Sampling", ["Primitives", "Text"] },
        { "Scheduling", ["Primitives", "Ports", "KvCache", "Sampling"] },
        { "Generation", ["Primitives", "Ports", "KvCache", "Sampling", "Scheduling", "Text"] },
    };

    public static TheoryData<string, string> Banned => new()
    {
        { "Dll" + "Import(", "LibraryImport" },
        { ".Result" + ";", "await" },
        { "#" + "region", "a smaller file" },
        { "FIX" + "ME", "an issue" },
        { "TO" + "DO", "an issue" },
        { "NotImplemented" + "Exception", "the implementation" },
        { "Thread." + "Sleep(0)", "a wait on something" },
    };

    [Theory]
    [MemberData(nameof(Imports))]
    public void Project_imports_only_what_lies_below_it(string project, string[] allowed)
    {
        var path = Path.Combine(_root, "src", project, $"{project}.csproj");
        if (!File.Exists(path))
        {
            return;
        }

        var imports = XDocument.Load(path).Descendants("ProjectReference")
            .Select(reference => Path.GetFileNameWithoutExtension((string)reference.Attribute("Include")!));

        Assert.Empty(imports.Except(allowed));
    }

    [Fact]
    public void Runtime_references_no_package() =>
        Assert.Empty(XDocument.Load(Path.Combine(_root, "src/Runtime/Runtime.csproj")).Descendants("PackageReference"));

    [Fact]
    public void Every_folder_of_Runtime_has_its_place_in_the_order() =>
        Assert.Empty(Directory.EnumerateDirectories(Path.Combine(_root, "src/Runtime"))
            .Select(folder => Path.GetFileName(folder)!)
            .Except(Folders.Select(row => (string)row[0])));

    [Theory]
    [MemberData(nameof(Folders))]
    public void Folder_of_Runtime_uses_only_those_before_it(string folder, string[] allowed)
    {
        var own = $"LsglangSharp.Runtime.{folder.Replace('/', '.')}";
        var known = allowed.Select(name => $"LsglangSharp.Runtime.{name.Replace('/', '.')}").Append(own).ToHashSet();
        var path = Path.Combine(_root, "src/Runtime", folder);
        var option = folder == "Text" ? SearchOption.TopDirectoryOnly : SearchOption.AllDirectories;

        AssertNone(from file in Directory.Exists(path) ? Directory.EnumerateFiles(path, "*.cs", option) : []
                   from Match match in Using().Matches(File.ReadAllText(file))
                   let name = match.Groups[1].Value
                   where !known.Any(prefix => IsWithin(name, prefix))
                   select $"{Relative(file)}: uses {name}");
    }

    /// <summary>A folder's namespaces belong to it, but for Templates, which stands apart from the rest of Text.</summary>
    private static bool IsWithin(string name, string folder) =>
        name == folder
        || (name.StartsWith(folder + '.', StringComparison.Ordinal)
            && !(folder.EndsWith(".Text", StringComparison.Ordinal) && name.EndsWith(".Templates", StringComparison.Ordinal)));

    [Fact]
    public void Unsafe_code_in_Runtime_stands_in_Weights_only() =>
        AssertNone(from file in Sources("src/Runtime", "*.cs")
                   where !Relative(file).StartsWith("src/Runtime/Weights/", StringComparison.Ordinal)
                   where Regex.IsMatch(File.ReadAllText(file), @"\bunsafe\b[^.]*[{(]")
                   select $"{Relative(file)}: unsafe");

    [Theory]
    [MemberData(nameof(Banned))]
    public void Source_does_not_contain(string banned, string instead) =>
        AssertNone(from file in Code()
                   where File.ReadAllText(file).Contains(banned, StringComparison.Ordinal)
                   select $"{Relative(file)}: {banned} is banned, use {instead}");

    [Fact]
    public void Files_fit_in_the_head() =>
        AssertNone(from file in Code()
                   let lines = File.ReadLines(file).Count()
                   where lines > LinesMax
                   select $"{Relative(file)}: {lines} lines, more than {LinesMax}");

    /// <summary>What a test expects may stand in one line, however long.</summary>
    [Fact]
    public void Lines_fit_beside_another_file() =>
        AssertNone(from file in Code()
                   from line in File.ReadLines(file)
                   where line.Length > ColumnsMax && !(IsTest(file) && line.Contains('"', StringComparison.Ordinal))
                   select $"{Relative(file)}: {line.Trim()}");

    [Fact]
    public void Catch_all_stands_only_where_a_fault_must_end_something_larger() =>
        AssertNone(from file in Sources("src", "*.cs")
                   let count = Regex.Count(File.ReadAllText(file), @"catch\s*\(Exception\b(?!.*\bwhen\b)")
                   where count > CatchAllPlaces.GetValueOrDefault(Relative(file))
                   select $"{Relative(file)}: {count} times catch (Exception) without a filter");

    [Fact]
    public void Kernels_of_an_instruction_set_keep_off_the_standard_library() =>
        AssertNone(from file in Sources("native/lk_moe/kernels", "*.cpp").Concat(Sources("native/lk_moe/kernels", "*.h"))
                   let folder = Path.GetFileName(Path.GetDirectoryName(file))
                   where folder is not ("kernels" or "reference")
                   from line in File.ReadLines(file)
                   where Regex.IsMatch(line, "#include <(vector|string|algorithm|map|memory|functional|array|span|iostream)>")
                   select $"{Relative(file)}: {line}");

    [Fact]
    public void No_file_names_a_place_of_one_machine() =>
        AssertNone(from file in Everything()
                   from line in File.ReadLines(file)
                   where MachinePath().IsMatch(line)
                   select $"{Relative(file)}: {line.Trim()}");

    /// <summary>Where catching everything is right: the step loop, the top of the HTTP pipeline, the program.</summary>
    private static Dictionary<string, int> CatchAllPlaces => new()
    {
        ["src/Runtime/Engine.cs"] = 1,
        ["src/Api/Http/ErrorPipeline.cs"] = 1,
        ["src/Api/Program.cs"] = 1,
    };

    private static bool IsTest(string file) => Relative(file).StartsWith("tests/", StringComparison.Ordinal);

    private static IEnumerable<string> Code() =>
        Sources("src", "*.cs").Concat(Sources("tests", "*.cs"))
            .Concat(Sources("native", "*.cpp")).Concat(Sources("native", "*.h"));

    private static IEnumerable<string> Everything() =>
        Code().Concat(Sources("docs", "*.md")).Concat(Sources("scripts", "*"))
            .Concat(Directory.EnumerateFiles(_root, "*.md"));

    private static IEnumerable<string> Sources(string folder, string pattern) =>
        Directory.Exists(Path.Combine(_root, folder))
            ? Directory.EnumerateFiles(Path.Combine(_root, folder), pattern, SearchOption.AllDirectories)
                .Where(file => !Relative(file).Contains("/build/", StringComparison.Ordinal)
                    && !Relative(file).Contains("/node_modules/", StringComparison.Ordinal))
            : [];

    private static void AssertNone(IEnumerable<string> complaints)
    {
        var all = string.Join('\n', complaints);
        Assert.True(all.Length == 0, all);
    }

    private static string Relative(string path) => Path.GetRelativePath(_root, path).Replace('\\', '/');

    private static string Here([CallerFilePath] string file = "") => file;

    [GeneratedRegex(@"^using (?:static )?(LsglangSharp\.[\w.]+);", RegexOptions.Multiline)]
    private static partial Regex Using();

    [GeneratedRegex(@"(^|[\s""'(=])/(work|farm|root|home/\w+)/")]
    private static partial Regex MachinePath();
}
