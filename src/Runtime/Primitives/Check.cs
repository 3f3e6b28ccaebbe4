using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace LsglangSharp.Runtime.Primitives;

/// <summary>A programmer's error: a state that the code promises never to reach. Ends the engine.</summary>
public sealed class InvariantException(string message) : Exception(message);

/// <summary>
/// An operator's error, found while starting: says what is wrong, where, and what to do. Shown as one line, without a
/// stack trace.
/// </summary>
public sealed class ConfigurationException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Assertions that stay on in Release.</summary>
public static class Check
{
    /// <summary>Throws <see cref="InvariantException"/> unless the condition holds.</summary>
    public static void That(
        [DoesNotReturnIf(false)] bool condition,
        [CallerArgumentExpression(nameof(condition))] string expression = "")
    {
        if (!condition)
        {
            Throw(expression);
        }
    }

    [DoesNotReturn]
    private static void Throw(string expression) => throw new InvariantException($"violated: {expression}");
}
