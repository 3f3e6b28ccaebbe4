using System.Net;
using System.Text;
using LsglangSharp.Api.Cli.Chat;

namespace LsglangSharp.Api.Tests.Cli;

/// <summary>The terminal chat over a scripted server.</summary>
public sealed class ChatSessionTests
{
    private const string Answer =
        """
        data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning_content":null}}]}

        data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}

        data: {"choices":[{"index":0,"delta":{"reasoning_content":null,"content":"\n\nParis"}}]}

        data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

        data: {"choices":[],"usage":{"completion_tokens":3}}

        data: [DONE]


        """;

    [Fact]
    public async Task Thinking_is_dimmed_and_the_answer_follows_plain()
    {
        var (session, screen, _) = Session(Answer);

        await session.HandleAsync("What is the capital of France?");

        Assert.Contains("\x1b[2mhm\x1b[0m", screen.ToString(), StringComparison.Ordinal);
        Assert.Contains("Paris", screen.ToString(), StringComparison.Ordinal);
        Assert.Equal("Paris", (string?)session.Messages[1]!["content"]);
    }

    [Fact]
    public async Task The_conversation_goes_along_with_every_question()
    {
        var (session, _, server) = Session(Answer);

        await session.HandleAsync("/system Be brief.");
        await session.HandleAsync("one");
        await session.HandleAsync("two");

        Assert.Contains("\"Be brief.\"", server.Bodies[^1], StringComparison.Ordinal);
        Assert.Contains("\"one\"", server.Bodies[^1], StringComparison.Ordinal);
        Assert.Contains("\"Paris\"", server.Bodies[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Commands_change_the_request_and_the_conversation()
    {
        var (session, _, server) = Session(Answer);

        await session.HandleAsync("/think off");
        await session.HandleAsync("/set temperature 0.5");
        await session.HandleAsync("one");
        await session.HandleAsync("/undo");

        Assert.Contains("\"enable_thinking\":false", server.Bodies[^1], StringComparison.Ordinal);
        Assert.Contains("\"temperature\":0.5", server.Bodies[^1], StringComparison.Ordinal);
        Assert.Empty(session.Messages);
        Assert.False(await session.HandleAsync("/exit"));
    }

    [Fact]
    public async Task An_error_of_the_server_is_shown_and_the_question_taken_back()
    {
        var (session, screen, _) = Session("""{"error":{"message":"The input is too long."}}""", HttpStatusCode.BadRequest);

        await session.HandleAsync("one");

        Assert.Contains("The input is too long.", screen.ToString(), StringComparison.Ordinal);
        Assert.Empty(session.Messages);
    }

    [Fact]
    public void The_editor_moves_deletes_and_recalls()
    {
        var editor = new LineEditor(TextWriter.Null);
        foreach (var letter in "hello wrld")
        {
            editor.Apply(new ConsoleKeyInfo(letter, ConsoleKey.None, false, false, false));
        }

        editor.Apply(Key(ConsoleKey.LeftArrow));
        editor.Apply(Key(ConsoleKey.LeftArrow));
        editor.Apply(Key(ConsoleKey.LeftArrow));
        editor.Apply(new ConsoleKeyInfo('o', ConsoleKey.O, false, false, false));
        Assert.Equal("hello world", editor.Line);

        editor.Apply(Key(ConsoleKey.End));
        editor.Apply(Key(ConsoleKey.W, control: true));
        Assert.Equal("hello ", editor.Line);

        editor.Apply(Key(ConsoleKey.Backspace));
        editor.Apply(Key(ConsoleKey.Home));
        editor.Apply(Key(ConsoleKey.Delete));
        Assert.Equal("ello", editor.Line);
    }

    private static ConsoleKeyInfo Key(ConsoleKey key, bool control = false) => new('\0', key, false, false, control);

    private static (ChatSession Session, StringWriter Screen, ScriptedServer Server) Session(
        string answer, HttpStatusCode status = HttpStatusCode.OK)
    {
        var server = new ScriptedServer(answer, status);
        var client = new ChatClient(new HttpClient(server) { BaseAddress = new Uri("http://test/") }, null);
        var screen = new StringWriter();
        return (new ChatSession(client, "model", screen, colours: true), screen, server);
    }

    private sealed class ScriptedServer(string answer, HttpStatusCode status) : HttpMessageHandler
    {
        public List<string> Bodies { get; } = [];

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Bodies.Add(await request.Content!.ReadAsStringAsync(cancellationToken));
            return new HttpResponseMessage(status) { Content = new StringContent(answer, Encoding.UTF8) };
        }
    }
}
