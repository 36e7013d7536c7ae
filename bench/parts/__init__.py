"""Single parts by themselves: the picker, hashing, the codec, ways to fill a file, the start of the shell."""
