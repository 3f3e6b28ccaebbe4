namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>
/// Python's sort: stable, by <c>&lt;</c> alone, and with faults of the comparison passed on as they are.
/// </summary>
internal static class Sorting
{
    public static List<object> Sort(List<object> items, Func<object, object> key, bool isReverse)
    {
        var keys = items.ConvertAll(item => key(item));
        var order = Enumerable.Range(0, items.Count).ToArray();
        Merge(order, new int[order.Length], 0, order.Length, (a, b) => isReverse
            ? Operators.Ordered(keys[a], keys[b], "<") : Operators.Ordered(keys[b], keys[a], "<"));
        return [.. order.Select(index => items[index])];
    }

    private static void Merge(int[] order, int[] scratch, int start, int end, Func<int, int, bool> isAfter)
    {
        if (end - start < 2)
        {
            return;
        }

        var middle = (start + end) / 2;
        Merge(order, scratch, start, middle, isAfter);
        Merge(order, scratch, middle, end, isAfter);
        var (left, right) = (start, middle);
        for (var i = start; i < end; i++)
        {
            var takesRight = right < end && (left == middle || isAfter(order[left], order[right]));
            scratch[i] = order[takesRight ? right++ : left++];
        }

        Array.Copy(scratch, start, order, start, end - start);
    }

    /// <summary>A key that leaves the case of text out of account.</summary>
    public static object IgnoreCase(object value) =>
        Operators.AsText(value) is { } text ? StringMethods.Lower(text) : value;
}
