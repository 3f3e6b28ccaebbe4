using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Http;

/// <summary>What every endpoint works with.</summary>
internal sealed class ServerContext(ServerOptions options, IEngine engine, ServedModel model)
{
    public ServerOptions Options { get; } = options;

    public IEngine Engine { get; } = engine;

    public ServedModel Model { get; } = model;

    /// <summary>Null where calls are left in the text.</summary>
    public string? ToolCallParser { get; } = Parsers.ToolCalls(options.ToolCallParser, model.ChatTemplate);

    /// <summary>Null where thoughts are left in the text.</summary>
    public string? ReasoningParser { get; } = Parsers.Reasoning(options.ReasoningParser, model.ChatTemplate);

    /// <summary>The token that ends thoughts; null where that takes none or several.</summary>
    public int? ThoughtsEndToken { get; } = Parsers.ThoughtsEndToken(
        Parsers.Reasoning(options.ReasoningParser, model.ChatTemplate), model.Text);

    public ServerPhase Phase { get; } = new();

    public ModelNames Names { get; } = new(options.ServedModelNames, model);

    public RequestMetrics Metrics { get; } = new(options.Clock);

    public DateTimeOffset Started { get; } = options.Clock.GetUtcNow();

    public long UnixSeconds => Options.Clock.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>The text side of the model, or the failure for requests that need it.</summary>
    public IModelText TextFor(string what, string parameter) => Model.Text ?? throw new RequestException(
        $"{what} needs a tokenizer, and this server was started without one (--skip-tokenizer-init). Send token ids.", parameter);
}
