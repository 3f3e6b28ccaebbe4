using System.Numerics;
using System.Text;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Python's arithmetic operators over all the types that have them.</summary>
internal static class Arithmetic
{
    /// <summary>Integers beyond this many bits are an attack, not a template.</summary>
    private const int IntegerBitsMax = 1 << 16;

    public static object Add(object left, object right)
    {
        RequireDefined(left, right);
        switch (left, right)
        {
            case (string a, string b):
                RenderContext.CheckLength((long)a.Length + b.Length);
                return a + b;
            case (long a, long b):
                return Box.Of((BigInteger)a + b);
            case (ListValue a, ListValue b):
                RenderContext.CheckCount((long)a.Items.Count + b.Items.Count);
                return new ListValue([.. a.Items, .. b.Items]);
            case (TupleValue a, TupleValue b):
                RenderContext.CheckCount((long)a.Items.Length + b.Items.Length);
                return new TupleValue([.. a.Items, .. b.Items]);
            case (Markup a, string or Markup):
                return new Markup(a.Text + Markup.Escape(right).Text);
            case (string, Markup b):
                return new Markup(Markup.Escape(left).Text + b.Text);
            case (string or Markup, _):
                throw TemplateFault.Type(
                    $"can only concatenate str (not \"{Operators.TypeName(right)}\") to str");
            case (ListValue, _):
                throw TemplateFault.Type(
                    $"can only concatenate list (not \"{Operators.TypeName(right)}\") to list");
            case (TupleValue, _):
                throw TemplateFault.Type(
                    $"can only concatenate tuple (not \"{Operators.TypeName(right)}\") to tuple");
            default:
                return Numeric(left, right, "+", (a, b) => a + b, (a, b) => a + b);
        }
    }

    public static object Subtract(object left, object right)
    {
        RequireDefined(left, right);
        return Numeric(left, right, "-", (a, b) => a - b, (a, b) => a - b);
    }

    public static object Multiply(object left, object right)
    {
        RequireDefined(left, right);
        if (IsSequence(left) && Operators.TryIndex(right, out var count))
        {
            return Repeat(left, count);
        }

        if (IsSequence(right) && Operators.TryIndex(left, out count))
        {
            return Repeat(right, count);
        }

        if (IsSequence(left) || IsSequence(right))
        {
            var other = IsSequence(left) ? right : left;
            throw TemplateFault.Type(
                $"can't multiply sequence by non-int of type '{Operators.TypeName(other)}'");
        }

        return Numeric(left, right, "*", Product, (a, b) => a * b);
    }

    private static BigInteger Product(BigInteger a, BigInteger b) =>
        a.GetBitLength() + b.GetBitLength() <= IntegerBitsMax
            ? a * b : throw TemplateFault.TooMuch("an integer is too large");

    private static bool IsSequence(object value) => value is string or Markup or ListValue or TupleValue;

    private static object Repeat(object sequence, long count)
    {
        count = Math.Max(count, 0);
        switch (sequence)
        {
            case ListValue list:
                RenderContext.CheckCount((double)count * list.Items.Count);
                return new ListValue(Times(list.Items, count));
            case TupleValue tuple:
                RenderContext.CheckCount((double)count * tuple.Items.Length);
                return new TupleValue([.. Times(tuple.Items, count)]);
            default:
                var text = Operators.AsText(sequence)!;
                RenderContext.CheckLength((double)count * text.Length);
                var repeated = text.Length == 0
                    ? "" : new StringBuilder().Insert(0, text, (int)count).ToString();
                return sequence is Markup ? new Markup(repeated) : repeated;
        }
    }

    private static IEnumerable<object> Times(IReadOnlyList<object> items, long count)
    {
        for (var i = items.Count == 0 ? count : 0; i < count; i++)
        {
            foreach (var item in items)
            {
                yield return item;
            }
        }
    }

    public static object Divide(object left, object right)
    {
        RequireDefined(left, right);
        RequireNumbers(left, right, "/");
        var divisor = Operators.ToDouble(right);
        return divisor == 0
            ? throw new TemplateFault("ZeroDivisionError",
                left is double || right is double ? "float division by zero" : "division by zero")
            : Operators.ToDouble(left) / divisor;
    }

    public static object FloorDivide(object left, object right)
    {
        RequireDefined(left, right);
        return Numeric(left, right, "//",
            (a, b) => b.IsZero ? throw Zero("integer division or modulo by zero") : Floor(a, b),
            (a, b) => b == 0 ? throw Zero("float floor division by zero") : FloatFloor(a, b));
    }

    public static object Modulo(object left, object right)
    {
        if (Operators.AsText(left) is { } format)
        {
            var text = PrintfFormat.Format(format, right);
            return left is Markup ? new Markup(text) : text;
        }

        RequireDefined(left, right);
        return Numeric(left, right, "%",
            (a, b) => b.IsZero ? throw Zero("integer modulo by zero") : a - Floor(a, b) * b,
            (a, b) => b == 0 ? throw Zero("float modulo") : FloatModulo(a, b));
    }

    private static BigInteger Floor(BigInteger a, BigInteger b)
    {
        var quotient = BigInteger.DivRem(a, b, out var remainder);
        return !remainder.IsZero && (remainder.Sign < 0) != (b.Sign < 0) ? quotient - 1 : quotient;
    }

    private static double FloatModulo(double a, double b)
    {
        var remainder = a % b;
        return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
    }

    /// <summary>Python takes the exact remainder off first, so that 1 // 0.1 is 9.0.</summary>
    private static double FloatFloor(double a, double b)
    {
        var quotient = (a - FloatModulo(a, b)) / b;
        return quotient == 0 ? Math.CopySign(0, a / b) : Math.Round(quotient);
    }

    private static TemplateFault Zero(string message) => new("ZeroDivisionError", message);

    public static object Power(object left, object right)
    {
        RequireDefined(left, right);
        RequireNumbers(left, right, "** or pow()");
        if (Operators.TryInteger(left, out var a) && Operators.TryInteger(right, out var b) && b.Sign >= 0)
        {
            var isSmall = a.IsZero || a.IsOne || a == BigInteger.MinusOne;
            if (!isSmall && (double)b * a.GetBitLength() > IntegerBitsMax)
            {
                throw TemplateFault.TooMuch("an integer is too large");
            }

            return Box.Of(!isSmall ? BigInteger.Pow(a, (int)b)
                : b.IsZero ? BigInteger.One
                : b.IsEven ? a * a : a);
        }

        var (x, y) = (Operators.ToDouble(left), Operators.ToDouble(right));
        if (x == 0 && y < 0)
        {
            throw Zero("0.0 cannot be raised to a negative power");
        }

        var power = Math.Pow(x, y);
        if (double.IsNaN(power) && !double.IsNaN(x) && !double.IsNaN(y))
        {
            throw TemplateFault.Value("a negative number cannot be raised to a fractional power");
        }

        return double.IsInfinity(power) && double.IsFinite(x) && double.IsFinite(y)
            ? throw new TemplateFault("OverflowError", "(34, 'Numerical result out of range')") : power;
    }

    public static object Negate(object value) => value switch
    {
        long number => Box.Of(-(BigInteger)number),
        double number => -number,
        bool or BigInteger => Operators.TryInteger(value, out var number) ? Box.Of(-number) : value,
        UndefinedValue undefined => throw undefined.Fault,
        _ => throw TemplateFault.Type($"bad operand type for unary -: '{Operators.TypeName(value)}'"),
    };

    public static object Positive(object value) => value switch
    {
        bool truth => Box.Of(truth ? 1L : 0L),
        long or double or BigInteger => value,
        UndefinedValue undefined => throw undefined.Fault,
        _ => throw TemplateFault.Type($"bad operand type for unary +: '{Operators.TypeName(value)}'"),
    };

    private static object Numeric(object left, object right, string symbol,
        Func<BigInteger, BigInteger, BigInteger> integers, Func<double, double, double> floats)
    {
        RequireNumbers(left, right, symbol);
        if (Operators.TryInteger(left, out var a) && Operators.TryInteger(right, out var b))
        {
            return Box.Of(integers(a, b));
        }

        return floats(Operators.ToDouble(left), Operators.ToDouble(right));
    }

    private static void RequireNumbers(object left, object right, string symbol)
    {
        if (!Operators.IsNumber(left) || !Operators.IsNumber(right))
        {
            throw TemplateFault.Type($"unsupported operand type(s) for {symbol}: "
                + $"'{Operators.TypeName(left)}' and '{Operators.TypeName(right)}'");
        }
    }

    private static void RequireDefined(object left, object right)
    {
        if ((left as UndefinedValue ?? right as UndefinedValue) is { } undefined)
        {
            throw undefined.Fault;
        }
    }
}
