using System.Text.Json;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>Calls in JSON that is complete.</summary>
internal static class JsonCalls
{
    /// <summary>Reads one call or a list of them; false where the JSON has another shape.</summary>
    public static bool Read(JsonElement element, ToolSet tools, List<ToolCall> calls, bool checksNames = true)
    {
        if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in element.EnumerateArray())
            {
                if (item.ValueKind != JsonValueKind.Object || !Read(item, tools, calls, checksNames))
                {
                    return false;
                }
            }

            return true;
        }

        if (element.ValueKind != JsonValueKind.Object)
        {
            return false;
        }

        var name = element.TryGetProperty("name", out var value) && value.ValueKind == JsonValueKind.String
            ? JsonText.Unescape(value.GetRawText()) : "";
        if (!checksNames)
        {
            calls.Add(new ToolCall(calls.Count, name, Arguments(element)));
        }
        else if (tools.Accepts(name))
        {
            calls.Add(new ToolCall(tools.IndexOf(name), name, Arguments(element)));
        }

        return true;
    }

    /// <summary>The parameters, unless they are empty; then the arguments.</summary>
    private static string Arguments(JsonElement call)
    {
        if (call.TryGetProperty("parameters", out var parameters)
            && JsonText.Write(parameters) is not ("{}" or "[]" or "\"\"" or "0" or "0.0" or "-0.0" or "false" or "null")
            and var text)
        {
            return text;
        }

        return call.TryGetProperty("arguments", out var arguments) ? JsonText.Write(arguments) : "{}";
    }
}
