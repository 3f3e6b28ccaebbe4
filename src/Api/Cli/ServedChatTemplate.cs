using System.Text.Json;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Api.Cli;

/// <summary>Where chat templates come from.</summary>
internal static class ServedChatTemplate
{
    /// <summary>--chat-template (a .jinja or .json file), else what the tokenizer's folder has; null if neither.</summary>
    public static ChatTemplate? Open(ServeSettings settings, Tokenizer tokenizer)
    {
        var (source, place) = settings.ChatTemplate is { } path
            ? (Read(path), path)
            : (tokenizer.ChatTemplateSource, "the model's chat template");
        if (source is null)
        {
            return null;
        }

        try
        {
            return ChatTemplate.Parse(source);
        }
        catch (ChatTemplateException fault)
        {
            throw new ConfigurationException($"{place} cannot be used: {fault.Message}", fault);
        }
    }

    private static string Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new ConfigurationException(
                $"--chat-template {path}: there is no such file. Built-in template names are not known; give a .jinja or .json file.");
        }

        var text = File.ReadAllText(path);
        if (!path.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
        {
            return text;
        }

        try
        {
            return (string?)JsonNode.Parse(text)?["chat_template"]
                ?? throw new ConfigurationException($"--chat-template {path}: the file has no key chat_template.");
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)
        {
            throw new ConfigurationException($"--chat-template {path}: {fault.Message}", fault);
        }
    }
}
