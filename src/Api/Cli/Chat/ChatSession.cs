using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;

namespace LsglangSharp.Api.Cli.Chat;

/// <summary>
/// A conversation in the terminal: what was said, the switches that the user can set, and how an answer looks while it comes. Thinking
/// is dimmed; Ctrl-C stops the answer and keeps what has come.
/// </summary>
internal sealed class ChatSession(ChatClient client, string model, TextWriter screen, bool colours)
{
    private const string Dim = "\x1b[2m";
    private const string Bold = "\x1b[1m";
    private const string Plain = "\x1b[0m";

    private readonly JsonArray _messages = [];
    private readonly JsonObject _request = [];
    private Action? _stop;

    public static string Help { get; } =
        """
        /help            this list
        /reset           forget the conversation
        /system TEXT     set the system prompt and forget the conversation
        /think on|off    let the model think first, or not
        /set NAME VALUE  a field of the request, such as temperature 0.7 or max_tokens 200
        /undo            forget the last question and its answer
        /exit            leave (also Ctrl-D)
        Ctrl-C           stop the answer
        """;

    /// <summary>The conversation so far, as the API has it.</summary>
    internal JsonArray Messages => _messages;

    /// <summary>True if an answer was running and has been told to stop.</summary>
    public bool Stop()
    {
        var stop = _stop;
        stop?.Invoke();
        return stop is not null;
    }

    /// <summary>Handles one line. False to leave.</summary>
    public async Task<bool> HandleAsync(string line)
    {
        line = line.Trim();
        if (line.Length == 0)
        {
            return true;
        }

        if (line[0] == '/')
        {
            return Command(line);
        }

        _messages.Add(new JsonObject { ["role"] = "user", ["content"] = line });
        await AnswerAsync().ConfigureAwait(false);
        return true;
    }

    private bool Command(string line)
    {
        var words = line.Split(' ', 3, StringSplitOptions.RemoveEmptyEntries);
        switch (words[0])
        {
            case "/exit" or "/quit" or "/bye":
                return false;
            case "/help" or "/?":
                screen.WriteLine(Help);
                break;
            case "/reset" or "/clear":
                _messages.Clear();
                screen.WriteLine("(forgotten)");
                break;
            case "/undo":
                Undo();
                break;
            case "/system":
                _messages.Clear();
                _messages.Add(new JsonObject { ["role"] = "system", ["content"] = line["/system".Length..].Trim() });
                screen.WriteLine("(system prompt set)");
                break;
            case "/think" when words.Length == 2 && words[1] is "on" or "off":
                _request["chat_template_kwargs"] = new JsonObject { ["enable_thinking"] = words[1] == "on" };
                break;
            case "/set" when words.Length == 3:
                Set(words[1], words[2]);
                break;
            default:
                screen.WriteLine($"{words[0]} is not understood; /help lists the commands.");
                break;
        }

        return true;
    }

    private void Set(string name, string value)
    {
        try
        {
            _request[name] = JsonNode.Parse(value);
        }
        catch (System.Text.Json.JsonException)
        {
            _request[name] = value;
        }
    }

    private void Undo()
    {
        while (_messages.Count > 0 && (string?)_messages[^1]!["role"] != "system")
        {
            var role = (string?)_messages[^1]!["role"];
            _messages.RemoveAt(_messages.Count - 1);
            if (role == "user")
            {
                break;
            }
        }
    }

    private async Task AnswerAsync()
    {
        var body = (JsonObject)_request.DeepClone();
        body["model"] = model;
        body["messages"] = _messages.DeepClone();
        var content = new StringBuilder();
        var thinking = false;
        var clock = Stopwatch.StartNew();
        JsonNode? usage = null;
        using var cancel = new CancellationTokenSource();
        _stop = cancel.Cancel;
        try
        {
            await foreach (var piece in client.AnswerAsync(body, cancel.Token).ConfigureAwait(false))
            {
                usage = piece.Usage ?? usage;
                Show(piece, content, ref thinking);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            Style(Plain);
            screen.Write(" (stopped)");
        }
        catch (ChatClientException fault)
        {
            Style(Plain);
            screen.WriteLine($"The server says: {fault.Message}");
            _messages.RemoveAt(_messages.Count - 1);
            return;
        }
        finally
        {
            _stop = null;
            Style(Plain);
        }

        screen.WriteLine();
        _messages.Add(new JsonObject { ["role"] = "assistant", ["content"] = content.ToString().Trim() });
        if (usage is not null && colours)
        {
            var tokens = (int?)usage["completion_tokens"] ?? 0;
            screen.WriteLine($"{Dim}{tokens} tokens, {tokens / clock.Elapsed.TotalSeconds:F1} a second{Plain}");
        }
    }

    private void Show(AnswerPiece piece, StringBuilder content, ref bool thinking)
    {
        // Models that do not think now send an empty thought: nothing to show, and no lines to skip for it.
        var thought = thinking ? piece.Reasoning : piece.Reasoning?.TrimStart();
        if (!string.IsNullOrEmpty(thought))
        {
            if (!thinking)
            {
                Style(Dim);
                thinking = true;
            }

            screen.Write(thought);
        }

        if (!string.IsNullOrEmpty(piece.Content))
        {
            var text = piece.Content;
            if (thinking)
            {
                Style(Plain);
                screen.WriteLine();
                thinking = false;
            }

            if (content.Length == 0)
            {
                text = text.TrimStart('\n');
            }

            content.Append(text);
            screen.Write(text);
        }

        if (piece.ToolCall is not null)
        {
            Style(Bold);
            screen.Write(piece.ToolCall);
            Style(Plain);
        }

        screen.Flush();
    }

    private void Style(string code)
    {
        if (colours)
        {
            screen.Write(code);
        }
    }
}
