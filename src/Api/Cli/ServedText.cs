using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Text;

namespace LsglangSharp.Api.Cli;

/// <summary>What a tokenizer gives to chat templates.</summary>
internal static class ServedText
{
    /// <summary>What chat templates may name: bos_token and its siblings.</summary>
    public static JsonObject TemplateVariables(Tokenizer tokenizer)
    {
        var variables = new JsonObject();
        Add("bos_token", tokenizer.BosToken);
        Add("eos_token", tokenizer.EosToken);
        Add("pad_token", tokenizer.PadToken);
        Add("unk_token", tokenizer.UnkToken);
        return variables;

        void Add(string name, string? value)
        {
            if (value is not null)
            {
                variables[name] = value;
            }
        }
    }
}
