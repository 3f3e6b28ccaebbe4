using System.Text.Json.Nodes;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The shape of message content that a template expects.</summary>
public enum ContentFormat
{
    /// <summary>Plain text: the text parts of a message are joined with spaces.</summary>
    String,

    /// <summary>OpenAI's list of parts: the template goes through them itself.</summary>
    Parts,
}

/// <summary>
/// A chat template in Jinja, as transformers runs it: sandboxed and immutable, with trimmed blocks, loop controls,
/// <c>generation</c> tags, <c>raise_exception</c>, <c>strftime_now</c> and a <c>tojson</c> without HTML escapes.
/// </summary>
/// <remarks>Parsed once; rendering is safe from any number of threads.</remarks>
public sealed class ChatTemplate
{
    private readonly Body _body;
    private readonly FunctionUnit _function = new(null);
    private readonly ScopeEntry _entry;
    private readonly bool _hasBlocks;

    private ChatTemplate(string source)
    {
        Source = source;
        (_body, _hasBlocks) = Parser.Parse(source);
        var scope = new Scope(null, _function);
        _body.Collect(scope);
        _body.Bind(scope);
        _entry = scope.Entry();
        ContentFormat = TemplateInspection.FindContentFormat(source, _body);
    }

    /// <summary>The text of the template.</summary>
    public string Source { get; }

    /// <summary>Whether messages keep their lists of content parts or are flattened to text first.</summary>
    public ContentFormat ContentFormat { get; }

    public static ChatTemplate Parse(string source)
    {
        ArgumentNullException.ThrowIfNull(source);
        try
        {
            return new ChatTemplate(source);
        }
        catch (TemplateFault fault)
        {
            throw new ChatTemplateException(fault.Kind, fault.Message, 0, fault);
        }
    }

    /// <summary>Renders a conversation; whatever goes wrong is a <see cref="ChatTemplateException"/>.</summary>
    /// <param name="variables">
    /// messages, tools, add_generation_prompt, bos_token and what else the template reads.
    /// </param>
    /// <param name="time">The clock of <c>strftime_now</c>; the system's where it is null.</param>
    public string Render(JsonObject variables, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(variables);
        var context = new RenderContext(variables, time ?? TimeProvider.System)
        {
            Exports = _hasBlocks ? [] : null,
        };
        try
        {
            var frame = new Frame(context, null, _function.SlotCount);
            _entry.Enter(frame);
            _body.Execute(frame);
            return context.Output.ToString();
        }
        catch (TemplateFault fault)
        {
            throw new ChatTemplateException(fault.Kind, fault.Message, context.Line, fault);
        }
    }
}
