using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Http;

/// <summary>Who may call a route.</summary>
internal enum Access
{
    /// <summary>Anybody, even where keys are set.</summary>
    Open,

    /// <summary>Holders of the API key, if there is one.</summary>
    Key,

    /// <summary>Holders of the admin key if there is one, else of the API key if there is one.</summary>
    Operator,
}

/// <summary>Checks bearer tokens in constant time.</summary>
internal sealed class AccessKeys(string? apiKey, string? adminKey)
{
    private const string Scheme = "Bearer";

    // Hashes have one length, so that comparing them tells nothing about the key's.
    private readonly byte[]? _apiKey = Hash(apiKey);
    private readonly byte[]? _adminKey = Hash(adminKey);

    /// <summary>Null if the caller may go on.</summary>
    public Failure? Check(HttpContext context, Access access)
    {
        var demanded = access switch
        {
            Access.Open => null,
            Access.Operator => _adminKey ?? _apiKey,
            _ => _apiKey,
        };
        if (demanded is null)
        {
            return null;
        }

        var header = context.Request.Headers.Authorization.ToString();
        var given = header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) && header.Length > Scheme.Length
            && header[Scheme.Length] == ' '
                ? header[(Scheme.Length + 1)..].Trim()
                : null;
        if (given is not null && CryptographicOperations.FixedTimeEquals(Hash(given), demanded))
        {
            return null;
        }

        var message = given is null
            ? "Unauthorized: this server demands the header 'Authorization: Bearer KEY'."
            : "Unauthorized: the API key is not right.";
        return new Failure(401, message, null, "invalid_api_key");
    }

    private static byte[]? Hash(string? key) => string.IsNullOrEmpty(key) ? null : SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
