using System.Numerics;
using System.Text;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The <c>%</c> operator of strings.</summary>
internal static class PrintfFormat
{
    public static string Format(string template, object values)
    {
        var list = values is TupleValue tuple ? tuple.Items : [values];
        var mapping = values as DictValue;
        var (builder, used, i) = (new StringBuilder(), 0, 0);
        object NextValue() => used < list.Length
            ? list[used++] : throw TemplateFault.Type("not enough arguments for format string");

        while (i < template.Length)
        {
            if (template[i] != '%')
            {
                builder.Append(template[i++]);
                continue;
            }

            i++;
            object? named = null;
            if (i < template.Length && template[i] == '(')
            {
                named = Named(template, mapping, ref i);
                used = list.Length;
            }

            var (spec, width) = ReadFlags(template, ref i, NextValue);
            if (i >= template.Length)
            {
                throw TemplateFault.Value("incomplete format");
            }

            var conversion = template[i++];
            builder.Append(conversion == '%' ? "%" : Convert(spec, width, conversion, named ?? NextValue(), i - 1));
            RenderContext.CheckLength(builder.Length);
        }

        // What can be subscripted counts as a mapping, which need not be used up.
        var isMapping = values is DictValue or ListValue or RangeValue or UndefinedValue;
        return used < list.Length && !isMapping
            ? throw TemplateFault.Type("not all arguments converted during string formatting") : builder.ToString();
    }

    private static object Named(string template, DictValue? mapping, ref int i)
    {
        var close = template.IndexOf(')', i);
        if (close < 0)
        {
            throw TemplateFault.Value("incomplete format key");
        }

        var key = template[(i + 1)..close];
        i = close + 1;
        return mapping is null
            ? throw TemplateFault.Type("format requires a mapping")
            : mapping.Find(key) ?? throw new TemplateFault("KeyError", PythonText.Quote(key));
    }

    private static (FormatSpec Spec, int Width) ReadFlags(string template, ref int i, Func<object> next)
    {
        var (isLeft, isZero, spec) = (false, false, new FormatSpec());
        for (; i < template.Length && "#0- +".Contains(template[i]); i++)
        {
            var c = template[i];
            isLeft |= c == '-';
            isZero |= c == '0';
            spec = c == '#' ? spec with { IsAlternate = true }
                : c == '+' || (c == ' ' && spec.Sign != '+') ? spec with { Sign = c } : spec;
        }

        var width = ReadNumber(template, ref i, next) ?? 0;
        isLeft |= width < 0;
        if (i < template.Length && template[i] == '.')
        {
            i++;
            spec = spec with { Precision = Math.Max(ReadNumber(template, ref i, next) ?? 0, 0) };
        }

        while (i < template.Length && template[i] is 'h' or 'l' or 'L')
        {
            i++;
        }

        spec = spec with { Align = isLeft ? '<' : isZero ? '=' : '>', Fill = isZero && !isLeft ? "0" : " " };
        return (spec, Math.Abs(width));
    }

    private static int? ReadNumber(string template, ref int i, Func<object> next)
    {
        if (i < template.Length && template[i] == '*')
        {
            i++;
            return Operators.TryIndex(next(), out var given) && Math.Abs(given) < int.MaxValue
                ? (int)given : throw TemplateFault.Type("* wants int");
        }

        var start = i;
        while (i < template.Length && char.IsAsciiDigit(template[i]))
        {
            i++;
        }

        return start == i ? null
            : int.TryParse(template.AsSpan(start, i - start), out var number) ? number
            : throw TemplateFault.Value("width too big");
    }

    private static string Convert(FormatSpec spec, int width, char conversion, object value, int position)
    {
        spec = spec with { Width = width };
        switch (conversion)
        {
            case 's' or 'r' or 'a':
                var text = conversion == 's' ? PythonText.Str(value)
                    : conversion == 'r' ? PythonText.Repr(value) : Json.Escape(PythonText.Repr(value));
                return PadText(spec, text);
            case 'c':
                return PadText(spec with { Precision = -1 },
                    Operators.AsText(value) ?? char.ConvertFromUtf32((int)Integer(value, 'c')));
            case 'd' or 'i' or 'u' or 'o' or 'x' or 'X':
                var integer = Integer(value, conversion);
                var type = conversion is 'i' or 'u' ? 'd' : conversion;
                return spec.FormatNumber(integer, type);
            case 'e' or 'E' or 'f' or 'F' or 'g' or 'G':
                return value is UndefinedValue undefined ? throw undefined.Fault
                    : spec.FormatNumber(Operators.ToDouble(value), conversion);
            default:
                throw TemplateFault.Value(
                    $"unsupported format character '{conversion}' (0x{(int)conversion:x}) at index {position}");
        }
    }

    private static string PadText(FormatSpec spec, string text)
    {
        if (spec.Precision >= 0 && spec.Precision < PythonText.Length(text))
        {
            text = text[..PythonText.IndexOf(text, spec.Precision)];
        }

        return StringMethods.Pad(text, spec.Width, " ", spec.Align == '<' ? "ljust" : "rjust");
    }

    private static BigInteger Integer(object value, char conversion) => value switch
    {
        double number when conversion is 'd' or 'i' or 'u' && double.IsFinite(number) => new BigInteger(number),
        UndefinedValue undefined => throw undefined.Fault,
        _ => Operators.TryInteger(value, out var integer) ? integer : throw TemplateFault.Type(
            $"%{conversion} format: a {(conversion is 'd' or 'i' or 'u' ? "real number" : "integer")} is required, "
            + $"not {Operators.TypeName(value)}"),
    };
}
