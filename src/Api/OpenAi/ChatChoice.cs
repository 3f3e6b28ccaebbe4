using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.OpenAi;

/// <summary>One choice of a chat answer while it comes in.</summary>
internal sealed class ChatChoice(int index, IAnswerParser parser, int? thoughtsEndToken)
{
    private readonly List<TokenLogprob> _logprobs = [];
    private bool _thinks = thoughtsEndToken is not null;
    private int _reasoningTokens;

    public int Index => index;

    public IAnswerParser Parser => parser;

    /// <summary>The role has been said.</summary>
    public bool HasBegun { get; set; }

    public bool HasContent { get; set; }

    public bool HasCalls { get; set; }

    /// <summary>All thoughts so far, kept only where they may have to become the content.</summary>
    public string Thoughts { get; set; } = "";

    public GenerationFinish? Finish { get; private set; }

    public Usage Usage { get; private set; }

    public void Add(GenerationChunk chunk)
    {
        CountThoughts(chunk.Tokens);
        _logprobs.AddRange(chunk.Logprobs);
        Usage = Usage.Of(chunk.Usage, _reasoningTokens);
        Finish = chunk.Finish ?? Finish;
    }

    /// <summary>The log-probabilities that no event has carried yet.</summary>
    public TokenLogprob[] TakeLogprobs()
    {
        TokenLogprob[] taken = [.. _logprobs];
        _logprobs.Clear();
        return taken;
    }

    /// <summary>OpenAI's word for how the choice ended: calls replace a stop, never the token limit.</summary>
    public string FinishName() => FinishReason.NameOf(Finish!) is var name && HasCalls && name == FinishReason.Stop
        ? FinishReason.ToolCalls
        : name;

    /// <summary>The token that ends the thoughts is one of them.</summary>
    private void CountThoughts(IReadOnlyList<int> tokens)
    {
        for (var i = 0; _thinks && i < tokens.Count; i++)
        {
            _reasoningTokens++;
            _thinks = tokens[i] != thoughtsEndToken;
        }
    }
}

/// <summary>Names that tool calls are answered by.</summary>
internal static class CallIds
{
    private const int RandomBytes = 12;

    /// <summary>An id that no other call has, in the form that the model's format demands.</summary>
    public static string New(string? parser, string name, int index, int earlierCalls) => parser switch
    {
        "kimi_k2" => $"functions.{name}:{earlierCalls + index}",
        "kimi_k3" => $"{name}:{earlierCalls + index}",
        _ => $"call_{Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(RandomBytes))}",
    };
}
