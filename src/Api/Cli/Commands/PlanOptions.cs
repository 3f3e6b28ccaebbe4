using System.Globalization;
using System.Text.RegularExpressions;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>What lsglang plan takes beside the flags of serve: the machine to plan for, if it is not this one.</summary>
internal sealed partial record PlanOptions
{
    public static string Help { get; } =
        """
        lsglang plan [MODEL_FOLDER] [--assume-gpu SIZE[,SIZE]] [--assume-ram SIZE] [--assume-nodes N] [--assume-cores N] [--json] [flags]

        Prints what serve with the same flags and variables would put where, from config.json alone: nothing is loaded. The exit
        code is 0 if it fits and 1 if it does not, with a line that says what would help.

          --assume-gpu SIZE[,SIZE]  plan for GPUs of this size, such as 24GB or 24GB,24GB; none plans for a machine without
          --assume-ram SIZE         plan for so much RAM, such as 256GB
          --assume-nodes N          on so many NUMA nodes of equal size
          --assume-cores N          with so many physical cores
          --json                    print the plan as one JSON object

        Sizes are those that cards and modules are sold by: GB counts 2^30 bytes, and of an assumed size the driver's context (512 MiB
        a GPU) and the operating system's share (2 % of the RAM, at least 2 GB) are taken off.
        """;

    /// <summary>Bytes of each GPU; null for this machine's, empty for none.</summary>
    public IReadOnlyList<long>? Gpus { get; init; }

    /// <summary>Bytes of RAM; null for this machine's.</summary>
    public long? Ram { get; init; }

    public int? Nodes { get; init; }

    public int? Cores { get; init; }

    public bool Json { get; init; }

    /// <summary>Takes its own options out of the arguments and returns the rest.</summary>
    public static (PlanOptions Options, List<string> Others) Take(IReadOnlyList<string> arguments)
    {
        var options = new PlanOptions();
        var rest = new List<string>();
        for (var i = 0; i < arguments.Count; i++)
        {
            var (name, attached) = arguments[i].Split('=', 2) is [var key, var value] ? (key, value) : (arguments[i], null);
            if (name == "--json")
            {
                options = options with { Json = true };
                continue;
            }

            if (name is not ("--assume-gpu" or "--assume-ram" or "--assume-nodes" or "--assume-cores"))
            {
                rest.Add(arguments[i]);
                continue;
            }

            var text = attached ?? (i + 1 < arguments.Count ? arguments[++i] : throw new ConfigurationException($"{name} needs a value."));
            options = name switch
            {
                "--assume-gpu" => options with { Gpus = text is "none" ? [] : [.. text.Split(',').Select(size => Size(name, size))] },
                "--assume-ram" => options with { Ram = Size(name, text) },
                "--assume-nodes" => options with { Nodes = Count(name, text, 64) },
                _ => options with { Cores = Count(name, text, 4096) },
            };
        }

        return (options, rest);
    }

    private static long Size(string name, string text)
    {
        var match = SizePattern().Match(text.Trim());
        var factor = match.Groups[2].Value.ToUpperInvariant() switch
        {
            [] or ['G', ..] => 1L << 30,
            ['M', ..] => 1L << 20,
            _ => 1L << 40,
        };
        var bytes = match.Success ? double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) * factor : 0;
        return bytes is > 0 and < 1L << 50
            ? (long)bytes
            : throw new ConfigurationException($"{name} must be a size such as 24GB, got \"{text}\".");
    }

    private static int Count(string name, string text, int most) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count >= 1 && count <= most
            ? count
            : throw new ConfigurationException($"{name} must be a whole number from 1 to {most}, got \"{text}\".");

    [GeneratedRegex(@"^(\d+(?:\.\d+)?)\s*([GMT]i?B?)?$", RegexOptions.IgnoreCase)]
    private static partial Regex SizePattern();
}
