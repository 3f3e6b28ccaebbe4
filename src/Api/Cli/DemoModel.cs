using System.Reflection;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>
/// The small model that is served when none is named. It lies beside the program; the single-file program carries it inside and
/// unpacks it once into the user's cache.
/// </summary>
internal static class DemoModel
{
    public const string Name = "demo";

    private const string Prefix = "demo-model/";

    public static string Folder()
    {
        var beside = Path.Combine(AppContext.BaseDirectory, "models", "demo");
        return File.Exists(Path.Combine(beside, "config.json")) ? beside : Unpacked();
    }

    private static string Unpacked()
    {
        var assembly = Assembly.GetExecutingAssembly();
        var names = assembly.GetManifestResourceNames().Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)).ToList();
        if (names.Count == 0)
        {
            throw new ConfigurationException(
                "the built-in demo model is not beside the program; name a model folder: lsglang serve MODEL_FOLDER");
        }

        var target = Path.Combine(CacheFolder(), $"demo-model-{assembly.ManifestModule.ModuleVersionId:N}");
        if (Directory.Exists(target))
        {
            return target;
        }

        // Unpacked beside its place and moved there whole, so that two programs that start at once do not meet half a model.
        var building = Directory.CreateDirectory($"{target}.{Environment.ProcessId}").FullName;
        foreach (var name in names)
        {
            using var source = assembly.GetManifestResourceStream(name)!;
            using var file = File.Create(Path.Combine(building, name[Prefix.Length..]));
            source.CopyTo(file);
        }

        try
        {
            Directory.Move(building, target);
        }
        catch (IOException) when (Directory.Exists(target))
        {
            Directory.Delete(building, recursive: true);
        }

        return target;
    }

    private static string CacheFolder()
    {
        var cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } set
            ? set : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(cache, "lsglang");
    }
}
