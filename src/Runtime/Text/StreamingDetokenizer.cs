using System.Buffers;
using System.Text;
using System.Text.Unicode;
using LsglangSharp.Runtime.Text.Decoding;

namespace LsglangSharp.Runtime.Text;

/// <summary>
/// Turns the tokens of one request into text as they come: each push returns the longest text that no later token can
/// change, never a part of a character. Not for use by several threads at once.
/// </summary>
public sealed class StreamingDetokenizer
{
    private const char Replacement = '\uFFFD';
    private const int SurrogateLead = 2;

    private readonly Tokenizer _tokenizer;
    private readonly TokenBytes _tokens;
    private readonly bool _skipSpecialTokens;
    private char[] _text = new char[64];
    private int _textLength;
    // Bytes that are not text yet: a part of a character, or a run of fallback bytes.
    private byte[] _pending = new byte[16];
    private int _pendingLength;
    // How much of the run of fallback bytes is known to be characters; -1 once it cannot be UTF-8 any more.
    private int _validLength;
    private bool _hasOutput;
    private int _strip;

    /// <summary>Starts an output; special tokens are left out or written like others.</summary>
    public StreamingDetokenizer(Tokenizer tokenizer, bool skipSpecialTokens)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        _tokenizer = tokenizer;
        _tokens = tokenizer.Bytes;
        _skipSpecialTokens = skipSpecialTokens;
        _strip = _tokens.Options.StripCount;
    }

    /// <summary>Takes one token and returns the text that is settled now; unknown ids are no text.</summary>
    public string Push(int id)
    {
        Take(id);
        return Drain();
    }

    /// <summary>Ends the output: what was held back, with U+FFFD for what never became a character.</summary>
    public string Flush()
    {
        Finish();
        return Drain();
    }

    internal string Decode(ReadOnlySpan<int> ids)
    {
        foreach (var id in ids)
        {
            Take(id);
        }

        return Flush();
    }

    private void Take(int id)
    {
        if (!_tokenizer.Contains(id) || _skipSpecialTokens && _tokenizer.IsSpecial(id))
        {
            return;
        }

        var options = _tokens.Options;
        var bytes = _hasOutput || !options.HasFirstForm ? _tokens[id] : _tokens.First(_tokenizer.TextBytes(id));
        if (_hasOutput && options.Separator.Length > 0)
        {
            Append(options.Separator);
        }

        _hasOutput = true;
        if (_tokens.IsFallbackByte(id))
        {
            TakeRunByte(bytes[0]);
            return;
        }

        if (options.ByteFallback)
        {
            EndRun();
        }

        Write(bytes, isFinal: !options.IsByteLevel);
    }

    // Decodes what is pending and these bytes; what may still become a character stays pending.
    private void Write(ReadOnlySpan<byte> bytes, bool isFinal)
    {
        if (_pendingLength > 0)
        {
            Keep(bytes);
            bytes = _pending.AsSpan(0, _pendingLength);
        }

        // What a lead byte follows is settled, so the text before half a surrogate is decoded as if it were the end.
        var held = !isFinal && EndsInHalfSurrogate(bytes) ? SurrogateLead : 0;
        Reserve(bytes.Length);
        Utf8.ToUtf16(
            bytes[..^held], _text.AsSpan(_textLength), out var read, out var written, replaceInvalidSequences: true,
            isFinal || held > 0);
        Strip(ref written);
        _textLength += written;
        var rest = bytes[read..];
        if (_pendingLength > 0)
        {
            rest.CopyTo(_pending);
            _pendingLength = rest.Length;
        }
        else
        {
            Keep(rest);
        }
    }

    // The first two of three bytes that would encode a surrogate. No third byte makes them a character, but incremental
    // decoders commonly wait for it, and then replace all three; so does this one.
    private static bool EndsInHalfSurrogate(ReadOnlySpan<byte> bytes) => bytes is [.., 0xED, >= 0xA0 and <= 0xBF];

    // A run of fallback bytes is text only if all of it is UTF-8, which shows when it ends; once it cannot be, every
    // byte of it is one U+FFFD.
    private void TakeRunByte(byte value)
    {
        if (_validLength < 0)
        {
            Append(Replacement);
            return;
        }

        Keep([value]);
        var rest = _pending.AsSpan(_validLength, _pendingLength - _validLength);
        var status = Rune.DecodeFromUtf8(rest, out _, out var length);
        if (status == OperationStatus.Done)
        {
            _validLength += length;
        }
        else if (status == OperationStatus.InvalidData)
        {
            ReplaceRun();
            _validLength = -1;
        }
    }

    private void EndRun()
    {
        if (_validLength >= 0 && _validLength < _pendingLength)
        {
            ReplaceRun();
        }
        else if (_pendingLength > 0)
        {
            Write(default, isFinal: true);
        }

        _validLength = 0;
    }

    private void ReplaceRun()
    {
        for (var i = 0; i < _pendingLength; i++)
        {
            Append(Replacement);
        }

        _pendingLength = 0;
    }

    private void Finish()
    {
        if (_tokens.Options.ByteFallback)
        {
            EndRun();
        }
        else if (_pendingLength > 0)
        {
            Write(default, isFinal: true);
        }

        _pendingLength = 0;
    }

    private void Append(char unit) => Append(new ReadOnlySpan<char>(in unit));

    private void Append(ReadOnlySpan<char> text)
    {
        Reserve(text.Length);
        text.CopyTo(_text.AsSpan(_textLength));
        var written = text.Length;
        Strip(ref written);
        _textLength += written;
    }

    // Takes the stripped character off the start of the output; what was just written starts at _textLength.
    private void Strip(ref int written)
    {
        if (_strip == 0 || written == 0)
        {
            return;
        }

        var count = 0;
        while (count < written && count < _strip && _text[_textLength + count] == _tokens.Options.Stripped)
        {
            count++;
        }

        _strip = count < written ? 0 : _strip - count;
        written -= count;
        _text.AsSpan(_textLength + count, written).CopyTo(_text.AsSpan(_textLength));
    }

    private void Keep(ReadOnlySpan<byte> bytes)
    {
        if (_pendingLength + bytes.Length > _pending.Length)
        {
            Array.Resize(ref _pending, Math.Max(_pending.Length * 2, _pendingLength + bytes.Length));
        }

        bytes.CopyTo(_pending.AsSpan(_pendingLength));
        _pendingLength += bytes.Length;
    }

    // A byte becomes at most one unit: invalid sequences have at least one byte, and characters as many as units.
    private void Reserve(int count)
    {
        if (_textLength + count > _text.Length)
        {
            Array.Resize(ref _text, Math.Max(_text.Length * 2, _textLength + count));
        }
    }

    private string Drain()
    {
        if (_textLength == 0)
        {
            return "";
        }

        var text = new string(_text, 0, _textLength);
        _textLength = 0;
        return text;
    }
}
