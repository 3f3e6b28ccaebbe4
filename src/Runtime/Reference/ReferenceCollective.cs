using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Reference;

/// <summary>Reference devices that share every layer: the definition of what ranks do together.</summary>
public sealed class ReferenceCollective : ICollective
{
    public void Split(ReadOnlySpan<Tensor> parts)
    {
        foreach (var part in parts[1..])
        {
            for (var row = 0; row < part.Rows; row++)
            {
                part.Floats(row).Clear();
            }
        }
    }

    public void Verify()
    {
    }

    public void Sum(ReadOnlySpan<Tensor> parts)
    {
        var sum = parts[0];
        foreach (var part in parts[1..])
        {
            Check.That(part.Rows == sum.Rows && part.Columns == sum.Columns);
            for (var row = 0; row < part.Rows; row++)
            {
                var from = part.Floats(row);
                var to = sum.Floats(row);
                for (var i = 0; i < to.Length; i++)
                {
                    to[i] += from[i];
                }
            }
        }

        foreach (var part in parts[1..])
        {
            for (var row = 0; row < part.Rows; row++)
            {
                sum.Floats(row).CopyTo(part.Floats(row));
            }
        }
    }
}
