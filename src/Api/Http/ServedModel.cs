using System.Text.Json.Nodes;

namespace LsglangSharp.Api.Http;

/// <summary>The model that a server serves: what it is called, what it is, and its text side.</summary>
public sealed record ServedModel
{
    /// <summary>The folder, as the operator gave it.</summary>
    public required string Path { get; init; }

    public string TokenizerPath { get; init; } = "";

    public IReadOnlyList<string> Architectures { get; init; } = [];

    public string ModelType { get; init; } = "";

    public string WeightVersion { get; init; } = "default";

    public string LoadFormat { get; init; } = "auto";

    /// <summary>Null where the server handles token ids only.</summary>
    public IModelText? Text { get; init; }

    /// <summary>Null where the model has no chat template.</summary>
    public IChatTemplate? ChatTemplate { get; init; }

    /// <summary>Template variables of the tokenizer, such as bos_token.</summary>
    public JsonObject? TemplateVariables { get; init; }

    internal string FolderName => System.IO.Path.GetFileName(Path.TrimEnd('/'));
}

/// <summary>Text to tokens and back.</summary>
public interface IModelText
{
    int[] Encode(string text, bool addSpecialTokens);

    string Decode(ReadOnlySpan<int> tokens, bool skipSpecialTokens);

    /// <summary>What one token stands for, which need not be whole characters.</summary>
    byte[] BytesOf(int token);
}

/// <summary>Turns a conversation into the text that the model continues.</summary>
public interface IChatTemplate
{
    /// <summary>The template's own text.</summary>
    string Source { get; }

    /// <summary>The template goes through a message's content part by part.</summary>
    bool WantsParts { get; }

    /// <summary>Throws <see cref="ChatTemplateRefusedException"/> where the template rejects the conversation.</summary>
    string Render(JsonObject variables);
}

/// <summary>A template's own objection to a conversation, or a construct in it that cannot be evaluated.</summary>
public sealed class ChatTemplateRefusedException(string message, Exception? cause = null) : Exception(message, cause);
