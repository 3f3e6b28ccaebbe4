using System.CommandLine;
using LsglangSharp.Runtime.Models;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>lsglang describe MODEL: what a model is made of, from its configuration alone.</summary>
internal static class DescribeCommand
{
    public static Command Create()
    {
        var model = new Argument<string?>("model")
        {
            Description = "The model's folder; only config.json is read. Without one, the built-in demo model.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var overrides = new Option<string?>("--json-model-override-args")
        {
            Description = "JSON object merged over config.json, such as {\"num_hidden_layers\": 2}.",
        };
        var command = new Command("describe", "Print a model's tree, parameter counts and bytes per token.") { model, overrides };
        command.SetAction(parsed =>
        {
            var folder = ModelFolder.Open(parsed.GetValue(model) ?? DemoModel.Folder(), parsed.GetValue(overrides));
            var type = ComputeType.Of("auto", folder.Spec.CheckpointType);
            foreach (var line in ModelDescription.Lines(folder.Spec, type, type))
            {
                Console.WriteLine(line);
            }
        });
        return command;
    }
}
