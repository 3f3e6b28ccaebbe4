using System.Runtime.CompilerServices;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Turns a recursion that would overflow the stack into a fault of the template.</summary>
internal static class StackGuard
{
    public static void Check()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw new TemplateFault("RecursionError", "maximum recursion depth exceeded");
        }
    }
}
