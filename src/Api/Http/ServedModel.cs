using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Runtime.Text.Templates;

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
    public ChatTemplate? ChatTemplate { get; init; }

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

/// <summary>The text side of a tokenizer that was loaded from a model's folder.</summary>
public sealed class TokenizerText(Tokenizer tokenizer) : IModelText
{
    public int[] Encode(string text, bool addSpecialTokens) => tokenizer.Encode(text, addSpecialTokens);

    public string Decode(ReadOnlySpan<int> tokens, bool skipSpecialTokens) =>
        tokenizer.Decode(tokens, skipSpecialTokens);

    public byte[] BytesOf(int token) => tokenizer.TokenBytes(token).ToArray();
}
