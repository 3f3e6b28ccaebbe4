using System.Globalization;
using System.Text;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>C's strftime in the C locale, for a naive local time.</summary>
internal static class TimeFormat
{
    public static string Format(DateTimeOffset time, string format)
    {
        var builder = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                builder.Append(format[i]);
                continue;
            }

            var flag = format[i + 1] is '-' or '_' or '0' or '^' && i + 2 < format.Length ? format[++i] : '\0';
            builder.Append(Directive(time, format[++i], flag));
        }

        return builder.ToString();
    }

    private static string Directive(DateTimeOffset time, char directive, char flag)
    {
        var culture = CultureInfo.InvariantCulture;
        var hour12 = (time.Hour + 11) % 12 + 1;
        return directive switch
        {
            'Y' => time.Year.ToString(culture),
            'C' => Number(time.Year / 100, 2, flag),
            'y' => Number(time.Year % 100, 2, flag),
            'm' => Number(time.Month, 2, flag),
            'd' => Number(time.Day, 2, flag),
            'e' => Number(time.Day, 2, flag == '\0' ? '_' : flag),
            'H' => Number(time.Hour, 2, flag),
            'k' => Number(time.Hour, 2, flag == '\0' ? '_' : flag),
            'I' => Number(hour12, 2, flag),
            'l' => Number(hour12, 2, flag == '\0' ? '_' : flag),
            'M' => Number(time.Minute, 2, flag),
            'S' => Number(time.Second, 2, flag),
            'f' => (time.Ticks % TimeSpan.TicksPerSecond / 10).ToString("000000", culture),
            'j' => Number(time.DayOfYear, 3, flag),
            'A' => Text(time.ToString("dddd", culture), flag),
            'a' => Text(time.ToString("ddd", culture), flag),
            'B' => Text(time.ToString("MMMM", culture), flag),
            'b' or 'h' => Text(time.ToString("MMM", culture), flag),
            'p' => time.Hour < 12 ? "AM" : "PM",
            'P' => time.Hour < 12 ? "am" : "pm",
            'u' => ((int)time.DayOfWeek == 0 ? 7 : (int)time.DayOfWeek).ToString(culture),
            'w' => ((int)time.DayOfWeek).ToString(culture),
            'U' => Number((time.DayOfYear + 6 - (int)time.DayOfWeek) / 7, 2, flag),
            'W' => Number((time.DayOfYear + 6 - ((int)time.DayOfWeek + 6) % 7) / 7, 2, flag),
            'V' => Number(ISOWeek.GetWeekOfYear(time.DateTime), 2, flag),
            'G' => ISOWeek.GetYear(time.DateTime).ToString(culture),
            'g' => Number(ISOWeek.GetYear(time.DateTime) % 100, 2, flag),
            's' => time.ToUnixTimeSeconds().ToString(culture),
            'D' or 'x' => Format(time, "%m/%d/%y"),
            'F' => Format(time, "%Y-%m-%d"),
            'T' or 'X' => Format(time, "%H:%M:%S"),
            'R' => Format(time, "%H:%M"),
            'r' => Format(time, "%I:%M:%S %p"),
            'c' => Format(time, "%a %b %e %H:%M:%S %Y"),
            'n' => "\n",
            't' => "\t",
            '%' => "%",

            // A time without a zone, as Python's datetime.now() gives, has no text for these.
            'z' or 'Z' => "",
            _ => $"%{(flag == '\0' ? "" : flag.ToString())}{directive}",
        };
    }

    private static string Number(int value, int width, char flag)
    {
        var digits = value.ToString(CultureInfo.InvariantCulture);
        return flag == '-' ? digits : digits.PadLeft(width, flag == '_' ? ' ' : '0');
    }

    private static string Text(string text, char flag) => flag == '^' ? text.ToUpperInvariant() : text;
}
