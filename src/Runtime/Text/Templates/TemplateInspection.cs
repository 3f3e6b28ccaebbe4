namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>What can be told from a template without rendering it.</summary>
internal static class TemplateInspection
{
    private static readonly string[] MediaWords = ["image", "audio", "video", "vision"];

    /// <summary>
    /// A template that speaks of media, or that loops over the content of a message, wants lists of parts.
    /// sglang decides so, by the names that loops usually give to a message.
    /// </summary>
    public static ContentFormat FindContentFormat(string source, Body body)
    {
        if (Array.Exists(MediaWords, word => source.Contains(word, StringComparison.Ordinal)))
        {
            return ContentFormat.Parts;
        }

        return Usage.Walk(body.Statements).OfType<For>().Any(loop => IsContent(loop.Items))
            ? ContentFormat.Parts : ContentFormat.String;
    }

    private static bool IsContent(Expression expression) => expression switch
    {
        FilterExpression { Input: { } input } => IsContent(input),
        TestExpression test => IsContent(test.Input),
        GetItem { Key: SliceExpression } slice => IsContent(slice.Owner),
        GetItem { Key: Constant { Value: "content" } } item => IsMessage(item.Owner),
        GetAttribute { Attribute: "content" } attribute => IsMessage(attribute.Owner),
        _ => false,
    };

    private static bool IsMessage(Expression expression) => expression is Name { Text: "message" or "msg" or "m" };
}
