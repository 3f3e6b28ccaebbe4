using System.Globalization;
using System.Text;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The <c>format</c> method of strings: replacement fields in braces.</summary>
internal static class FormatTemplate
{
    private const int NestingMax = 2;

    public static object Format(string template, CallArguments arguments) =>
        new Formatting(arguments.Positional, arguments.Keyword).Run(template, NestingMax);

    public static object FormatMap(string template, CallArguments arguments)
    {
        var mapping = arguments.Bind("format_map", 1, "mapping")[0] as DictValue
            ?? throw TemplateFault.Type("format_map() argument must be a mapping");
        return new Formatting([], mapping.Find).Run(template, NestingMax);
    }

    private sealed class Formatting(object[] positional, Func<string, object?> keyword)
    {
        // Fields are numbered by the writer or automatically, never both; -1 once the writer numbers them.
        private int _automatic;

        public string Run(string template, int depth)
        {
            if (depth < 0)
            {
                throw TemplateFault.Value("Max string recursion exceeded");
            }

            var builder = new StringBuilder();
            for (var i = 0; i < template.Length; i++)
            {
                var c = template[i];
                var isDoubled = c is '{' or '}' && i + 1 < template.Length && template[i + 1] == c;
                if (c is not ('{' or '}') || isDoubled)
                {
                    builder.Append(c);
                    i += isDoubled ? 1 : 0;
                }
                else if (c == '}')
                {
                    throw TemplateFault.Value("Single '}' encountered in format string");
                }
                else
                {
                    var end = FieldEnd(template, i + 1);
                    builder.Append(Field(template[(i + 1)..end], depth));
                    RenderContext.CheckLength(builder.Length);
                    i = end;
                }
            }

            return builder.ToString();
        }

        private static int FieldEnd(string template, int start)
        {
            var nesting = 1;
            for (var i = start; i < template.Length; i++)
            {
                nesting += template[i] == '{' ? 1 : template[i] == '}' ? -1 : 0;
                if (nesting == 0)
                {
                    return i;
                }
            }

            throw TemplateFault.Value(start == template.Length
                ? "Single '{' encountered in format string" : "expected '}' before end of string");
        }

        private string Field(string field, int depth)
        {
            var nameEnd = 0;
            for (var isInKey = false; nameEnd < field.Length; nameEnd++)
            {
                isInKey = field[nameEnd] == '[' || (isInKey && field[nameEnd] != ']');
                if (!isInKey && field[nameEnd] is ':' or '!')
                {
                    break;
                }
            }

            var rest = field[nameEnd..];
            var value = Value(field[..nameEnd]);
            if (rest.StartsWith('!'))
            {
                value = rest.Length < 2 ? throw TemplateFault.Value("unmatched '{' in format spec") : rest[1] switch
                {
                    's' => PythonText.Str(value),
                    'r' => PythonText.Repr(value),
                    'a' => Json.Escape(PythonText.Repr(value)),
                    _ => throw TemplateFault.Value($"Unknown conversion specifier {rest[1]}"),
                };
                rest = rest[2..];
            }

            return FormatSpec.Format(value, rest.StartsWith(':') ? Run(rest[1..], depth - 1) : "");
        }

        private object Value(string path)
        {
            var end = path.AsSpan().IndexOfAny('.', '[');
            var name = end < 0 ? path : path[..end];
            var value = First(name);
            for (var i = end < 0 ? path.Length : end; i < path.Length;)
            {
                if (path[i] == '.')
                {
                    var next = path.AsSpan(i + 1).IndexOfAny('.', '[');
                    var stop = next < 0 ? path.Length : i + 1 + next;
                    value = Attributes.Get(value, path[(i + 1)..stop]);
                    i = stop;
                    continue;
                }

                var close = path.IndexOf(']', i);
                if (close < 0)
                {
                    throw TemplateFault.Value("Missing ']' in format string");
                }

                var key = path[(i + 1)..close];
                value = Attributes.GetItem(
                    value, long.TryParse(key, CultureInfo.InvariantCulture, out var index) ? Box.Of(index) : key);
                i = close + 1;
            }

            return value;
        }

        private object First(string name)
        {
            if (name.Length > 0 && !name.All(char.IsAsciiDigit))
            {
                return keyword(name) ?? throw new TemplateFault("KeyError", PythonText.Quote(name));
            }

            if ((name.Length == 0 && _automatic < 0) || (name.Length > 0 && _automatic > 0))
            {
                throw TemplateFault.Value(name.Length == 0
                    ? "cannot switch from manual field specification to automatic field numbering"
                    : "cannot switch from automatic field numbering to manual field specification");
            }

            var index = name.Length == 0 ? _automatic++
                : int.TryParse(name, CultureInfo.InvariantCulture, out var given) ? given : int.MaxValue;
            _automatic = name.Length > 0 ? -1 : _automatic;
            return index < positional.Length ? positional[index] : throw new TemplateFault(
                "IndexError", "tuple index out of range");
        }
    }
}
