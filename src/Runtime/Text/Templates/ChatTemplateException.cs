namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>A chat template that cannot be parsed, or that refused or failed to render a request.</summary>
public sealed class ChatTemplateException : Exception
{
    public ChatTemplateException(string kind, string message, int line, Exception? inner = null)
        : base(message, inner)
    {
        Kind = kind;
        Line = line;
    }

    /// <summary>
    /// The name that Jinja or Python give the fault: TemplateSyntaxError, UndefinedError, TypeError and so on.
    /// </summary>
    public string Kind { get; }

    /// <summary>The line of the template, counted from 1; 0 where the fault is in the variables.</summary>
    public int Line { get; }

    /// <summary>True where the template itself refused the conversation with <c>raise_exception</c>.</summary>
    public bool IsRaisedByTemplate => Kind == TemplateFault.Raised;

    /// <summary>The fault in one sentence for the client of a request.</summary>
    public string Describe() =>
        IsRaisedByTemplate ? Message
        : Line > 0 ? $"chat template, line {Line}: {Kind}: {Message}"
        : $"chat template: {Kind}: {Message}";
}

/// <summary>A fault while a template renders, before it is known on which line.</summary>
internal sealed class TemplateFault(string kind, string message) : Exception(message)
{
    public const string Raised = "TemplateError";
    public const string Syntax = "TemplateSyntaxError";
    public const string Assertion = "TemplateAssertionError";
    public const string Limit = "LimitExceeded";

    public string Kind { get; } = kind;

    public static TemplateFault Type(string message) => new("TypeError", message);

    public static TemplateFault Value(string message) => new("ValueError", message);

    public static TemplateFault Undefined(string message) => new("UndefinedError", message);

    public static TemplateFault Runtime(string message) => new("TemplateRuntimeError", message);

    public static TemplateFault FilterArgument(string message) => new("FilterArgumentError", message);

    public static TemplateFault TooMuch(string message) => new(Limit, message);
}
