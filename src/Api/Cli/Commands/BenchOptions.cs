using System.Globalization;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>What lsglang bench measures. The flags that are not listed here are those of serve.</summary>
internal sealed record BenchOptions
{
    public static string Help { get; } =
        """
        lsglang bench [MODEL_FOLDER] [--batch-size N ...] [--input-len N ...] [--output-len N] [--repeat N] [--json FILE] [flags]

        Measures throughput and latency of the engine, without HTTP. Prompts are random tokens; generation ignores the end of
        sequence. With --load-format dummy, config.json alone is enough.

          --batch-size N ...   requests at once [default 1]
          --input-len N ...    prompt tokens of each request [default 512]
          --output-len N       tokens to generate [default 64]
          --repeat N           times that each measurement is made; the median is printed [default 3]
          --json FILE          write the figures to a file as well, one JSON object a line
        """;

    public IReadOnlyList<int> BatchSizes { get; init; } = [1];

    public IReadOnlyList<int> InputLengths { get; init; } = [512];

    public int OutputLength { get; init; } = 64;

    public int Repeat { get; init; } = 3;

    public string? JsonFile { get; init; }

    /// <summary>Takes its own options out of the arguments and returns the rest.</summary>
    public static (BenchOptions Options, List<string> Others) Take(IReadOnlyList<string> arguments)
    {
        var options = new BenchOptions();
        var rest = new List<string>();
        for (var i = 0; i < arguments.Count; i++)
        {
            var (name, attached) = arguments[i].Split('=', 2) is [var key, var value] ? (key, value) : (arguments[i], null);
            if (name is not ("--batch-size" or "--batch" or "--input-len" or "--output-len" or "--repeat" or "--json"))
            {
                rest.Add(arguments[i]);
                continue;
            }

            var values = new List<string>(attached?.Split(',') ?? []);
            while (attached is null && i + 1 < arguments.Count && !arguments[i + 1].StartsWith('-'))
            {
                values.AddRange(arguments[++i].Split(','));
            }

            options = name switch
            {
                "--batch-size" or "--batch" => options with { BatchSizes = Counts(name, values) },
                "--input-len" => options with { InputLengths = Counts(name, values) },
                "--output-len" => options with { OutputLength = Counts(name, values)[0] },
                "--repeat" => options with { Repeat = Counts(name, values)[0] },
                _ => options with { JsonFile = values.Count == 1 ? values[0] : throw Bad(name, values, "one file name") },
            };
        }

        return (options, rest);
    }

    private static List<int> Counts(string name, List<string> values) =>
        values.Count > 0 && values.All(value =>
            int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0)
            ? values.ConvertAll(value => int.Parse(value, CultureInfo.InvariantCulture))
            : throw Bad(name, values, "a whole number of at least 1, or several");

    private static ConfigurationException Bad(string name, List<string> values, string expected) =>
        new($"{name} must be {expected}, got \"{string.Join(' ', values)}\".");
}
