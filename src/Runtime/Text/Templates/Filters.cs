using System.Collections.Frozen;

namespace LsglangSharp.Runtime.Text.Templates;

internal delegate object Filter(RenderContext context, object value, CallArguments arguments);

/// <summary>The filters by name.</summary>
internal static class Filters
{
    private static readonly FrozenDictionary<string, Filter> All = new Dictionary<string, Filter>
    {
        ["abs"] = NumberFilters.Absolute,
        ["attr"] = (_, value, arguments) =>
            Attribute(value, PythonText.Str(arguments.Bind("attr", 1, "name")[0]!)),
        ["batch"] = SequenceFilters.Batch,
        ["capitalize"] = (_, value, _) => StringMethods.Capitalize(PythonText.Str(value)),
        ["center"] = (_, value, arguments) => StringMethods.Pad(PythonText.Str(value),
            arguments.Bind("center", 0, "width")[0] is { } width ? StringMethods.Width(width) : 80, " ", "center"),
        ["count"] = SequenceFilters.Length,
        ["d"] = Default,
        ["default"] = Default,
        ["dictsort"] = SequenceFilters.DictSort,
        ["e"] = (_, value, _) => Markup.Escape(value),
        ["escape"] = (_, value, _) => Markup.Escape(value),
        ["filesizeformat"] = NumberFilters.FileSize,
        ["first"] = SequenceFilters.First,
        ["float"] = NumberFilters.Float,
        ["forceescape"] = (_, value, _) => new Markup(Markup.EscapeText(PythonText.Str(value))),
        ["format"] = TextFilters.Format,
        ["groupby"] = SequenceFilters.GroupBy,
        ["indent"] = TextFilters.Indent,
        ["int"] = NumberFilters.Integer,
        ["items"] = SequenceFilters.Items,
        ["join"] = SequenceFilters.Join,
        ["last"] = SequenceFilters.Last,
        ["length"] = SequenceFilters.Length,
        ["list"] = (_, value, _) => SequenceFilters.Collect(Operators.Iterate(value)),
        ["lower"] = (_, value, _) => StringMethods.Lower(PythonText.Str(value)),
        ["map"] = Selection.Map,
        ["max"] = (context, value, arguments) => SequenceFilters.Extreme(value, arguments, "max", ">"),
        ["min"] = (context, value, arguments) => SequenceFilters.Extreme(value, arguments, "min", "<"),
        ["pprint"] = (_, value, _) => PythonText.Repr(value),
        ["random"] = SequenceFilters.Choose,
        ["reject"] = (context, value, arguments) => Selection.Select(context, value, arguments, keeps: false),
        ["rejectattr"] = (context, value, arguments) =>
            Selection.SelectAttribute(context, value, arguments, keeps: false),
        ["replace"] = TextFilters.Replace,
        ["reverse"] = SequenceFilters.Reverse,
        ["round"] = NumberFilters.Round,
        ["safe"] = (_, value, _) => value as Markup ?? new Markup(PythonText.Str(value)),
        ["select"] = (context, value, arguments) => Selection.Select(context, value, arguments, keeps: true),
        ["selectattr"] = (context, value, arguments) =>
            Selection.SelectAttribute(context, value, arguments, keeps: true),
        ["slice"] = SequenceFilters.Slice,
        ["sort"] = SequenceFilters.Sort,
        ["string"] = (_, value, _) => value is Markup ? value : PythonText.Str(value),
        ["striptags"] = TextFilters.StripTags,
        ["sum"] = SequenceFilters.Sum,
        ["title"] = TextFilters.Title,
        ["tojson"] = TextFilters.ToJson,
        ["trim"] = TextFilters.Trim,
        ["truncate"] = TextFilters.Truncate,
        ["unique"] = SequenceFilters.Unique,
        ["upper"] = (_, value, _) => StringMethods.Upper(PythonText.Str(value)),
        ["urlencode"] = TextFilters.UrlEncode,
        ["wordcount"] = TextFilters.WordCount,
        ["wordwrap"] = TextFilters.WordWrap,
        ["xmlattr"] = TextFilters.XmlAttributes,
    }.ToFrozenDictionary();

    public static Filter? Find(string name) => All.GetValueOrDefault(name);

    private static object Attribute(object value, string name) =>
        value is UndefinedValue undefined ? throw undefined.Fault
        : Attributes.Find(value, name) ?? UndefinedValue.Attribute(value, name);

    private static object Default(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("default", 0, "default_value", "boolean");
        var coversFalse = bound[1] is { } boolean && Operators.IsTrue(boolean);
        return value is UndefinedValue || (coversFalse && !Operators.IsTrue(value)) ? bound[0] ?? "" : value;
    }

    public static bool IsTrue(object? argument, bool fallback = false) =>
        argument is null ? fallback : Operators.IsTrue(argument);
}
