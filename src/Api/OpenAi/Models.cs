using System.Text.Json;
using LsglangSharp.Api.Http;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.OpenAi;

/// <summary>/v1/models.</summary>
internal sealed class Models(ServerContext server)
{
    public const string Prefix = "/v1/models/";

    public Task ListAsync(HttpContext context) => JsonResponse.WriteAsync(context, 200, json =>
    {
        json.WriteStartObject();
        json.WriteString("object"u8, "list"u8);
        json.WriteStartArray("data"u8);
        foreach (var name in server.Names.Served)
        {
            WriteCard(json, name);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    });

    public Task OneAsync(HttpContext context)
    {
        // Clients escape the slash in names such as owner/model, and the path leaves just that one escaped.
        var name = context.Request.Path.Value![Prefix.Length..].Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        if (!server.Names.Knows(name))
        {
            throw new RequestException(new Failure(
                404, $"The model '{name}' does not exist", "model", "model_not_found"));
        }

        return JsonResponse.WriteAsync(context, 200, json => WriteCard(json, name));
    }

    private void WriteCard(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, name);
        json.WriteString("object"u8, "model"u8);
        json.WriteNumber("created"u8, server.Started.ToUnixTimeSeconds());
        json.WriteString("owned_by"u8, "sglang"u8);
        json.WriteString("root"u8, name);
        json.WriteNull("parent"u8);
        json.WriteNumber("max_model_len"u8, server.Engine.Facts.ContextLength);
        json.WriteEndObject();
    }
}
