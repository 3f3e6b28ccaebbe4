using System.Globalization;
using System.Numerics;
using System.Text;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Python's format specification: fill, align, sign, width, grouping, precision and type.</summary>
internal sealed record FormatSpec
{
    public string Fill { get; init; } = " ";

    public char Align { get; init; }

    public char Sign { get; init; } = '-';

    public bool IsAlternate { get; init; }

    public int Width { get; init; }

    public char Grouping { get; init; }

    public int Precision { get; init; } = -1;

    public char Type { get; init; }

    public static string Format(object value, string spec)
    {
        if (spec.Length == 0)
        {
            return PythonText.Str(value);
        }

        var parsed = Parse(spec);
        switch (value)
        {
            case string or Markup:
                return parsed.FormatText(Operators.AsText(value)!);
            case double number:
                return parsed.FormatFloat(number);
            case long or BigInteger or bool:
                Operators.TryInteger(value, out var integer);
                return parsed.Type is 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or '%'
                    ? parsed.FormatFloat((double)integer) : parsed.FormatInteger(integer, Operators.TypeName(value));
            case UndefinedValue undefined:
                throw undefined.Fault;
            default:
                throw TemplateFault.Type(
                    $"unsupported format string passed to {Operators.TypeName(value)}.__format__");
        }
    }

    /// <summary>Formats an integer for the % operator, whose precision is a least count of digits.</summary>
    public string FormatNumber(BigInteger value, char type)
    {
        var spec = this with { Type = type, Precision = -1 };
        if (Precision <= 0)
        {
            return spec.FormatInteger(value);
        }

        RenderContext.CheckLength(Precision);
        var digits = (spec with { Width = Precision, Fill = "0", Align = '=', Sign = '-', IsAlternate = false })
            .FormatInteger(BigInteger.Abs(value));
        var head = value.Sign < 0 ? "-" : Sign == '-' ? "" : Sign.ToString();
        return spec.Pad(head + digits, Align == '=' ? '>' : Align);
    }

    public string FormatNumber(double value, char type) => (this with { Type = type }).FormatFloat(value);

    public static FormatSpec Parse(string text)
    {
        var result = new FormatSpec();
        var i = 0;
        var hasFill = false;
        var fillLength = text.Length > 1 && char.IsHighSurrogate(text[0]) ? 2 : 1;
        if (text.Length > fillLength && "<>=^".Contains(text[fillLength]))
        {
            result = result with { Fill = text[..fillLength], Align = text[fillLength] };
            hasFill = true;
            i = fillLength + 1;
        }
        else if (text.Length > 0 && "<>=^".Contains(text[0]))
        {
            result = result with { Align = text[i++] };
        }

        char Next() => i < text.Length ? text[i] : '\0';
        if (Next() is '+' or '-' or ' ')
        {
            result = result with { Sign = text[i++] };
        }

        i += Next() == 'z' ? 1 : 0;
        if (Next() == '#')
        {
            result = result with { IsAlternate = true };
            i++;
        }

        if (Next() == '0')
        {
            i++;
            result = !hasFill ? result with { Fill = "0" } : result;
            result = result.Align == '\0' ? result with { Align = '0' } : result;
        }

        result = result with { Width = ReadNumber(text, ref i, 0) };
        if (Next() is ',' or '_')
        {
            result = result with { Grouping = text[i++] };
        }

        if (Next() == '.')
        {
            i++;
            result = result with { Precision = ReadNumber(text, ref i, -1) };
            if (result.Precision < 0)
            {
                throw TemplateFault.Value("Format specifier missing precision");
            }
        }

        result = result with { Type = Next() };
        return i + (result.Type == '\0' ? 0 : 1) == text.Length
            ? result : throw TemplateFault.Value("Invalid format specifier");
    }

    private static int ReadNumber(string text, ref int i, int fallback)
    {
        var start = i;
        while (i < text.Length && char.IsAsciiDigit(text[i]))
        {
            i++;
        }

        if (i == start)
        {
            return fallback;
        }

        return int.TryParse(text.AsSpan(start, i - start), CultureInfo.InvariantCulture, out var number)
            ? number : throw TemplateFault.Value("Too many decimal digits in format string");
    }

    private string FormatText(string text)
    {
        if (Type is not ('\0' or 's'))
        {
            throw Unknown("str");
        }

        if (Align == '=' && Fill != "0")
        {
            throw TemplateFault.Value("'=' alignment not allowed in string format specifier");
        }

        if (Precision >= 0 && Precision < PythonText.Length(text))
        {
            text = text[..PythonText.IndexOf(text, Precision)];
        }

        return Pad(text, Align is '\0' or '0' or '=' ? '<' : Align);
    }

    /// <summary>A zero before the width fills numbers after their sign, and text after its end.</summary>
    private bool FillsAfterSign => Align is '=' or '0';

    private TemplateFault Unknown(string type) =>
        TemplateFault.Value($"Unknown format code '{Type}' for object of type '{type}'");

    private string FormatInteger(BigInteger value, string typeName = "int")
    {
        var magnitude = BigInteger.Abs(value);
        var (prefix, digits) = Type switch
        {
            '\0' or 'd' or 'n' => ("", magnitude.ToString(CultureInfo.InvariantCulture)),
            'b' => ("0b", Radix(magnitude, 2)),
            'o' => ("0o", Radix(magnitude, 8)),
            'x' => ("0x", Radix(magnitude, 16)),
            'X' => ("0X", Radix(magnitude, 16).ToUpperInvariant()),
            'c' => ("", char.ConvertFromUtf32((int)value)),
            _ => throw Unknown(typeName),
        };
        return PadNumber(value.Sign < 0, IsAlternate ? prefix : "", digits, "");
    }

    public static string Radix(BigInteger value, int radix)
    {
        if (value.IsZero)
        {
            return "0";
        }

        var digits = new List<char>();
        for (; !value.IsZero; value /= radix)
        {
            digits.Add("0123456789abcdef"[(int)(value % radix)]);
        }

        digits.Reverse();
        return new string([.. digits]);
    }

    private string FormatFloat(double value)
    {
        var isNegative = value < 0 || (value == 0 && double.IsNegative(value));
        if (!double.IsFinite(value))
        {
            var name = double.IsNaN(value) ? "nan" : "inf";
            return PadNumber(value < 0, "", char.IsUpper(Type) ? name.ToUpperInvariant() : name,
                Type == '%' ? "%" : "");
        }

        var precision = Precision < 0 ? 6 : Precision;
        var text = Type switch
        {
            'f' or 'F' => DecimalText.Fixed(value, precision),
            '%' => DecimalText.Fixed(value * 100, precision),
            'e' => Exponential(value, precision),
            'E' => Exponential(value, precision).ToUpperInvariant(),
            'g' or 'n' => General(value, precision),
            'G' => General(value, precision).ToUpperInvariant(),
            '\0' when Precision < 0 => PythonText.Float(Math.Abs(value)),
            '\0' => General(value, precision, keepsPoint: true),
            _ => throw Unknown("float"),
        };
        var split = text.AsSpan().IndexOfAny(".eE");
        return PadNumber(isNegative, "", split < 0 ? text : text[..split],
            (split < 0 ? "" : text[split..]) + (Type == '%' ? "%" : ""));
    }

    private static string Exponential(double value, int precision)
    {
        var (digits, exponent) = DecimalText.Scientific(value, precision);
        return Exponent(digits, exponent);
    }

    private static string Exponent(string digits, int exponent)
    {
        var mantissa = digits.Length > 1 ? $"{digits[0]}.{digits[1..]}" : digits;
        return string.Create(
            CultureInfo.InvariantCulture, $"{mantissa}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");
    }

    private string General(double value, int precision, bool keepsPoint = false)
    {
        precision = Math.Max(precision, 1);
        var (digits, exponent) = DecimalText.Scientific(value, precision - 1);
        var limit = keepsPoint ? precision - 1 : precision;
        var isFixed = exponent >= -4 && exponent < Math.Max(limit, keepsPoint ? 1 : 0);
        if (!isFixed)
        {
            return Exponent(IsAlternate ? digits : Trim(digits), exponent);
        }

        var text = DecimalText.Fixed(value, Math.Max(precision - 1 - exponent, 0));
        text = text.Contains('.') && !IsAlternate ? text.TrimEnd('0').TrimEnd('.') : text;
        return keepsPoint && !text.Contains('.') ? text + ".0" : text;
    }

    private static string Trim(string digits)
    {
        var trimmed = digits.TrimEnd('0');
        return trimmed.Length == 0 ? "0" : trimmed;
    }

    private string PadNumber(bool isNegative, string prefix, string digits, string rest)
    {
        var head = (isNegative ? "-" : Sign == '-' ? "" : Sign.ToString()) + prefix;
        if (Grouping != '\0')
        {
            digits = Group(digits, Width - head.Length - rest.Length);
        }

        if (FillsAfterSign)
        {
            var missing = Width - head.Length - digits.Length - rest.Length;
            return head + Pad(digits + rest, '>', digits.Length + rest.Length + Math.Max(missing, 0));
        }

        return Pad(head + digits + rest, Align == '\0' ? '>' : Align);
    }

    /// <summary>Separates groups of digits; a zero fill takes part in the grouping.</summary>
    private string Group(string digits, int width)
    {
        var size = Grouping == '_' && Type is 'b' or 'o' or 'x' or 'X' ? 4 : 3;
        if (FillsAfterSign && Fill == "0")
        {
            RenderContext.CheckLength(width);
            while (digits.Length + (digits.Length - 1) / size < width)
            {
                digits = "0" + digits;
            }
        }

        var builder = new StringBuilder(digits);
        for (var i = digits.Length - size; i > 0; i -= size)
        {
            builder.Insert(i, Grouping);
        }

        return builder.ToString();
    }

    private string Pad(string text, char align, int? width = null) =>
        StringMethods.Pad(text, width ?? Width, Fill, align switch { '<' => "ljust", '^' => "format", _ => "rjust" });
}
