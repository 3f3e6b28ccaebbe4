using System.Globalization;
using System.Numerics;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Filters that make or change numbers.</summary>
internal static class NumberFilters
{
    public static object Absolute(RenderContext context, object value, CallArguments arguments) => value switch
    {
        double number => Math.Abs(number),
        _ => Operators.TryInteger(value, out var integer) ? Box.Of(BigInteger.Abs(integer))
            : throw TemplateFault.Type($"bad operand type for abs(): '{Operators.TypeName(value)}'"),
    };

    public static object Integer(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("int", 0, "default", "base");
        var radix = bound[1] is { } given ? StringMethods.Width(given) : 10;
        var parsed = value switch
        {
            double number => double.IsFinite(number) ? Box.Of(new BigInteger(number)) : null,
            string or Markup => ParseInteger(Operators.AsText(value)!, (int)radix)
                ?? (ParseFloat(Operators.AsText(value)!) is { } real && double.IsFinite(real)
                    ? Box.Of(new BigInteger(real)) : null),
            UndefinedValue undefined => throw undefined.Fault,
            _ => Operators.TryInteger(value, out var integer) ? Box.Of(integer) : null,
        };
        return parsed ?? bound[0] ?? Box.Of(0);
    }

    private static object? ParseInteger(string text, int radix)
    {
        text = StringMethods.Strip(text, null);
        var isNegative = text.StartsWith('-');
        text = isNegative || text.StartsWith('+') ? text[1..] : text;
        var prefix = text.Length > 1 && text[0] == '0'
            ? char.ToLowerInvariant(text[1]) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 0 } : 0;
        if (prefix != 0 && (radix == prefix || radix == 0))
        {
            text = text[2..].TrimStart('_');
            radix = prefix;
        }

        radix = radix == 0 ? 10 : radix;
        var value = BigInteger.Zero;
        const int DigitCountMax = 4300;
        if (text.Length is 0 or > DigitCountMax || text[0] == '_' || text[^1] == '_'
            || text.Contains("__", StringComparison.Ordinal))
        {
            return null;
        }

        foreach (var c in text)
        {
            var digit = char.IsAsciiDigit(c) ? c - '0'
                : char.IsAsciiLetter(c) ? char.ToLowerInvariant(c) - 'a' + 10
                : char.IsDigit(c) ? (int)char.GetNumericValue(c) : c == '_' ? -1 : int.MaxValue;
            if (digit >= radix)
            {
                return null;
            }

            value = digit < 0 ? value : value * radix + digit;
        }

        return Box.Of(isNegative ? -value : value);
    }

    public static object Float(RenderContext context, object value, CallArguments arguments)
    {
        var fallback = arguments.Bind("float", 0, "default")[0] ?? 0.0;
        return value switch
        {
            UndefinedValue undefined => throw undefined.Fault,
            string or Markup => ParseFloat(Operators.AsText(value)!) ?? fallback,
            _ => Operators.IsNumber(value) ? Operators.ToDouble(value) : fallback,
        };
    }

    private static double? ParseFloat(string text)
    {
        text = StringMethods.Strip(text, null);
        switch (text.TrimStart('+', '-').ToLowerInvariant())
        {
            case "inf" or "infinity" when text.Length - text.TrimStart('+', '-').Length <= 1:
                return text[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
            case "nan":
                return double.NaN;
        }

        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint
            | NumberStyles.AllowExponent;
        var hasValidUnderscores = !text.Contains('_') || (char.IsAsciiDigit(text[0]) && char.IsAsciiDigit(text[^1])
            && !text.Contains("__", StringComparison.Ordinal));
        return hasValidUnderscores && double.TryParse(
            text.Replace("_", "", StringComparison.Ordinal), Style, CultureInfo.InvariantCulture, out var number)
            ? number : null;
    }

    public static object Round(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("round", 0, "precision", "method");
        var digits = bound[0] is { } given ? (int)Math.Clamp(StringMethods.Width(given), -1000, 1000) : 0;
        var method = PythonText.Str(bound[1] ?? "common");
        if (method is not ("common" or "ceil" or "floor"))
        {
            throw TemplateFault.FilterArgument("method must be common, ceil or floor");
        }

        if (method == "common" && !Operators.IsNumber(value))
        {
            throw TemplateFault.Type($"type {Operators.TypeName(value)} doesn't define __round__ method");
        }

        if (method == "common")
        {
            return value is double real ? DecimalText.Round(real, digits) : RoundInteger(value, digits);
        }

        var factor = Math.Pow(10, digits);
        var scaled = Operators.IsNumber(value) ? Operators.ToDouble(value) * factor
            : Operators.ToDouble(Arithmetic.Multiply(value, digits >= 0 ? Box.Of(1) : 1.0));
        return (method == "ceil" ? Math.Ceiling(scaled) : Math.Floor(scaled)) / factor;
    }

    private static object RoundInteger(object value, int digits)
    {
        Operators.TryInteger(value, out var integer);
        if (digits >= 0)
        {
            return Box.Of(integer);
        }

        var unit = BigInteger.Pow(10, -digits);
        var quotient = BigInteger.DivRem(BigInteger.Abs(integer), unit, out var remainder);
        var order = (remainder * 2).CompareTo(unit);
        quotient += order > 0 || (order == 0 && !quotient.IsEven) ? 1 : 0;
        return Box.Of(quotient * unit * integer.Sign);
    }

    public static object FileSize(RenderContext context, object value, CallArguments arguments)
    {
        var isBinary = Filters.IsTrue(arguments.Bind("filesizeformat", 0, "binary")[0]);
        var bytes = value switch
        {
            UndefinedValue undefined => throw undefined.Fault,
            string or Markup => ParseFloat(Operators.AsText(value)!) ?? throw TemplateFault.Value(
                $"could not convert string to float: {PythonText.Repr(PythonText.Str(value))}"),
            _ => Operators.IsNumber(value) ? Operators.ToDouble(value) : throw TemplateFault.Type(
                $"float() argument must be a string or a real number, not '{Operators.TypeName(value)}'"),
        };
        var unit = isBinary ? 1024.0 : 1000.0;
        if (bytes == 1)
        {
            return "1 Byte";
        }

        if (bytes < unit)
        {
            return $"{new BigInteger(bytes)} Bytes";
        }

        var prefixes = isBinary
            ? new[] { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB" }
            : ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
        var size = unit * unit;
        var index = 0;
        for (; index < prefixes.Length - 1 && bytes >= size; index++)
        {
            size *= unit;
        }

        return $"{DecimalText.Fixed(unit * bytes / size, 1)} {prefixes[index]}";
    }
}
