using System.Text;
using LsglangSharp.Api.Cli.Commands;

namespace LsglangSharp.Api.Cli;

/// <summary>The help of the commands that take sglang's flags, made from the flag and variable tables.</summary>
internal static class FlagHelp
{
    public static string For(string command)
    {
        var text = new StringBuilder();
        text.AppendLine(command switch
        {
            "serve" => "lsglang serve [MODEL_FOLDER] [flags]\n\nServes a model. Without a model, the built-in demo model.",
            "chat" => "lsglang chat [MODEL_FOLDER] [--url URL] [--system TEXT] [flags]\n\nChats in the terminal with a model that it "
                + "loads, or with the server at --url.",
            "plan" => PlanOptions.Help,
            _ => BenchOptions.Help,
        });
        text.AppendLine("\nFlags (names and spelling as in sglang; an unambiguous beginning of a name is enough):\n");
        foreach (var flag in FlagTable.Known.Rows.Where(flag => AppliedFlags.Effective.Contains(flag.Name)))
        {
            var aliases = flag.Aliases.Count == 0 ? "" : $" ({string.Join(", ", flag.Aliases)})";
            Row(text, flag.Name + aliases + Value(flag), Sentence(flag));
        }

        text.AppendLine("\nEvery other flag of sglang is accepted with one warning; unknown flags are errors.");
        text.AppendLine("\nEnvironment variables:\n");
        foreach (var variable in EnvironmentVariables.Table)
        {
            var alias = variable.Alias is null ? "" : $" ({variable.Alias})";
            Row(text, variable.Name + alias, $"{variable.Meaning} [{variable.Type}, default {Shown(variable.Default)}]");
        }

        return text.ToString();
    }

    private static string Shown(string value) => value.Length == 0 ? "none" : value;

    private static string Sentence(Flag flag) =>
        flag.Kind == FlagKind.Flag || flag.Default is "None" or "" or "{}" or "REQUIRED"
            ? flag.Meaning : $"{flag.Meaning} [default {flag.Default}]";

    private static string Value(Flag flag) => flag.Kind switch
    {
        FlagKind.Flag or FlagKind.Tristate => "",
        FlagKind.List => " VALUE ...",
        FlagKind.Int or FlagKind.Human => " N",
        FlagKind.Float => " X",
        _ => " VALUE",
    };

    private static void Row(StringBuilder text, string name, string meaning)
    {
        text.Append("  ").AppendLine(name);
        text.Append("        ").AppendLine(meaning);
    }
}
