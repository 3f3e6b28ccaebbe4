using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Api.OpenAi;

/// <summary>From a conversation to the tokens that the model continues.</summary>
internal sealed record ChatPrompt(int[] Tokens, Tools Tools, Reasoning Reasoning, int EarlierCalls)
{
    public static ChatPrompt Read(Fields request, ServerContext server)
    {
        var reasoning = Reasoning.Read(request, server.Options.ChatTemplateDefaults);
        if (request.Any("input_ids") is { } ids)
        {
            var tokens = Fields.TokensOf(ids, "input_ids");
            return tokens.Length > 0
                ? new ChatPrompt(tokens, Tools.Read(request, []), reasoning.For(server.ReasoningParser, "", null), 0)
                : throw request.Bad("input_ids", "must not be empty");
        }

        var text = server.TextFor("A conversation", "messages");
        var template = server.Model.ChatTemplate ?? throw new RequestException(
            "This model has no chat template; use /v1/completions, or start the server with --chat-template.", "messages");
        var messages = ChatMessages.Read(request, template.Source, template.ContentFormat == ContentFormat.Parts);
        var tools = Tools.Read(request, messages.Tools);
        var rendered = Render(template, server, messages, tools, reasoning);
        var prompt = text.Encode(rendered, addSpecialTokens: false);
        if (messages.Continued is { } continued)
        {
            prompt = [.. prompt, .. text.Encode(continued, addSpecialTokens: false)];
        }

        reasoning = reasoning.For(server.ReasoningParser, rendered, messages.Continued);
        return prompt.Length > 0
            ? new ChatPrompt(prompt, tools, reasoning, messages.EarlierCalls)
            : throw new RequestException("The chat template makes an empty prompt of these messages.", "messages");
    }

    private static string Render(
        ChatTemplate template, ServerContext server, ChatMessages messages, Tools tools, Reasoning reasoning)
    {
        var definitions = tools.MayCall ? tools.Definitions : null;
        try
        {
            return template.Render(Variables(definitions));
        }
        catch (ChatTemplateException e) when (definitions is not null)
        {
            return RenderBare(definitions, e);
        }
        catch (ChatTemplateException e)
        {
            throw Refused(e);
        }

        // Some templates expect functions without the wrapper around them.
        string RenderBare(JsonArray definitions, ChatTemplateException first)
        {
            try
            {
                return template.Render(
                    Variables(new JsonArray([.. definitions.Select(tool => tool!["function"]!.DeepClone())])));
            }
            catch (ChatTemplateException)
            {
                throw Refused(first);
            }
        }

        JsonObject Variables(JsonArray? definitions)
        {
            var variables = server.Model.TemplateVariables is { } own ? (JsonObject)own.DeepClone() : [];
            foreach (var (name, value) in reasoning.Variables)
            {
                variables[name] = value?.DeepClone();
            }

            variables["messages"] = messages.Messages.DeepClone();
            variables["add_generation_prompt"] = true;
            if (definitions is not null)
            {
                variables["tools"] = definitions.DeepClone();
            }

            return variables;
        }

        static RequestException Refused(ChatTemplateException e) =>
            new($"The chat template cannot render these messages: {e.Describe()}", "messages");
    }
}
