namespace LsglangSharp.Api.Http;

/// <summary>The names that requests may call the model by.</summary>
internal sealed class ModelNames
{
    private const string Any = "default";

    private readonly HashSet<string> _known;

    public ModelNames(IReadOnlyList<string> served, ServedModel model)
    {
        Served = served.Count > 0 ? served : [model.Path];
        _known = [.. Served, model.FolderName, model.Path, Any];
    }

    /// <summary>What /v1/models lists.</summary>
    public IReadOnlyList<string> Served { get; }

    public string First => Served[0];

    public bool Knows(string name) => _known.Contains(name);

    /// <summary>The name as the request spells it, for the answer to repeat.</summary>
    public string Resolve(Fields request)
    {
        var name = request.Text("model") ?? Any;
        return Knows(name) ? name : throw new RequestException(Unknown(name));
    }

    public Failure Unknown(string name) => new(
        404, $"The model '{name}' does not exist. This server serves: {string.Join(", ", Served)}.", "model", "model_not_found");
}
