using System.Runtime.CompilerServices;

namespace LsglangSharp.Support;

/// <summary>Where the tests find things that are not code: the repository and the folder of reference data beside it.</summary>
public static class Repository
{
    /// <summary>The folder that holds LsglangSharp.sln.</summary>
    public static string Root { get; } = Path.GetFullPath(Path.Combine(Here(), "../../.."));

    /// <summary>Reference data beside the repository, or null in a clone that has none.</summary>
    public static string? Shared { get; } =
        Path.GetFullPath(Path.Combine(Root, "../shared")) is var path && Directory.Exists(path) ? path : null;

    /// <summary>A path below the reference data, or null where the data is missing.</summary>
    public static string? SharedPath(params string[] parts) =>
        Shared is null ? null : Path.Combine([Shared, .. parts]);

    private static string Here([CallerFilePath] string file = "") => file;
}
