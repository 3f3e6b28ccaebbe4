using System.Text;

namespace LsglangSharp.Api.Cli.Chat;

/// <summary>
/// One line of input with the usual keys: arrows, Home, End, Ctrl-A/E/U/K/W, and up and down through what was typed before. With
/// redirected input it reads plain lines. Returns null at the end of the input (Ctrl-D on an empty line).
/// </summary>
internal sealed class LineEditor(TextWriter screen)
{
    private readonly List<string> _history = [];
    private readonly StringBuilder _line = new();
    private int _cursor;
    private int _recalled;

    public string? Read(string prompt)
    {
        if (Console.IsInputRedirected)
        {
            return Console.In.ReadLine();
        }

        screen.Write(prompt);
        _line.Clear();
        _cursor = 0;
        _recalled = _history.Count;
        while (true)
        {
            var key = Console.ReadKey(intercept: true);
            if (key.Key == ConsoleKey.Enter)
            {
                screen.WriteLine();
                return Remembered(_line.ToString());
            }

            if (key is { Key: ConsoleKey.D, Modifiers: ConsoleModifiers.Control } && _line.Length == 0)
            {
                screen.WriteLine();
                return null;
            }

            if (Apply(key))
            {
                Show(prompt);
            }
        }
    }

    private string Remembered(string line)
    {
        if (line.Trim().Length > 0 && (_history.Count == 0 || _history[^1] != line))
        {
            _history.Add(line);
        }

        return line;
    }

    /// <summary>Changes the line as the key says; false if the key means nothing here.</summary>
    internal bool Apply(ConsoleKeyInfo key)
    {
        var control = key.Modifiers.HasFlag(ConsoleModifiers.Control);
        switch (key.Key)
        {
            case ConsoleKey.LeftArrow:
                _cursor = control ? WordStart() : Math.Max(0, _cursor - 1);
                return true;
            case ConsoleKey.RightArrow:
                _cursor = Math.Min(_line.Length, _cursor + 1);
                return true;
            case ConsoleKey.Home:
            case ConsoleKey.A when control:
                _cursor = 0;
                return true;
            case ConsoleKey.End:
            case ConsoleKey.E when control:
                _cursor = _line.Length;
                return true;
            case ConsoleKey.UpArrow:
                return Recall(_recalled - 1);
            case ConsoleKey.DownArrow:
                return Recall(_recalled + 1);
            default:
                return Edit(key, control);
        }
    }

    private bool Edit(ConsoleKeyInfo key, bool control)
    {
        switch (key.Key)
        {
            case ConsoleKey.Backspace:
                return Remove(_cursor - 1, 1);
            case ConsoleKey.Delete:
            case ConsoleKey.D when control:
                return Remove(_cursor, 1);
            case ConsoleKey.U when control:
                return Remove(0, _cursor);
            case ConsoleKey.K when control:
                return Remove(_cursor, _line.Length - _cursor);
            case ConsoleKey.W when control:
                return Remove(WordStart(), _cursor - WordStart());
        }

        if (char.IsControl(key.KeyChar))
        {
            return false;
        }

        _line.Insert(_cursor++, key.KeyChar);
        return true;
    }

    /// <summary>The line as it stands, for tests.</summary>
    internal string Line => _line.ToString();

    private bool Remove(int start, int count)
    {
        if (start < 0 || count <= 0 || start + count > _line.Length)
        {
            return false;
        }

        _line.Remove(start, count);
        _cursor = start;
        return true;
    }

    private int WordStart()
    {
        var start = _cursor;
        while (start > 0 && _line[start - 1] == ' ')
        {
            start--;
        }

        while (start > 0 && _line[start - 1] != ' ')
        {
            start--;
        }

        return start;
    }

    private bool Recall(int index)
    {
        if (index < 0 || index > _history.Count)
        {
            return false;
        }

        _recalled = index;
        _line.Clear().Append(index == _history.Count ? "" : _history[index]);
        _cursor = _line.Length;
        return true;
    }

    /// <summary>Draws the part of the line around the cursor that fits the terminal's width.</summary>
    private void Show(string prompt)
    {
        var room = Math.Max(10, Console.WindowWidth - prompt.Length - 1);
        var first = Math.Max(0, _cursor - room + 1);
        var shown = _line.ToString(first, Math.Min(room, _line.Length - first));
        screen.Write($"\r\x1b[K{prompt}{shown}\r\x1b[{prompt.Length + _cursor - first}C");
    }
}
