# What Perl programs do with memory, printed so that two runs can be compared: hashes of arrays of hashes, strings that
# grow, regular expressions, sorting, closures, cycles that are broken, a child process, and an exit status.

use strict;
use warnings;

my %index;
for my $i (1 .. 120_000) {
    my $word = join "", map { chr(97 + $i * $_ % 26) } 1 .. $i % 9 + 1;
    push @{ $index{$word}{places} }, $i;
    $index{$word}{length} = length $word;
}
my @words = sort { @{ $index{$b}{places} } <=> @{ $index{$a}{places} } || $a cmp $b } keys %index;
print scalar(@words), " words, most often: @words[0 .. 9]\n";

my $text = "";
$text .= "$_: " . ("x" x ($_ % 40)) . "\n" for 1 .. 60_000;
my $sum = 0;
$sum += length $2 while $text =~ /^(\d+): (x*)$/mg;
(my $changed = $text) =~ s/(\d+)(?=:)/reverse $1/ge;
print length($text), " ", $sum, " ", unpack("%32C*", $changed), "\n";

my @sorted = sort { $a->[1] <=> $b->[1] || $a->[0] cmp $b->[0] } map { [ "key$_", $_ * 7919 % 10007 ] } 1 .. 80_000;
print "$sorted[0][0] $sorted[40_000][0] $sorted[-1][0]\n";

my @closures = map { my $n = $_; my @held = (1) x ($n % 50); sub { $n + @held } } 1 .. 20_000;
my $total = 0;
$total += $_->() for @closures;
print "$total\n";

for (1 .. 20_000) {
    my $node = { payload => "p" x 300 };
    $node->{self} = $node;
    delete $node->{self};
}

my %seen;
for my $round (1 .. 5) {
    $seen{ $_ * $round } = "v" x ($_ % 100) for 1 .. 30_000;
    delete @seen{ grep { $_ % 3 == $round % 3 } keys %seen };
}
print scalar(keys %seen), "\n";

my $child = `$^X -e 'print join ",", map { \$_ ** 2 } 1 .. 1000'`;
print length($child), " $?\n";
my $pid = fork // die;
if ($pid == 0) { my @more = map { "z" x $_ } 1 .. 2000; exit @more % 256 }
waitpid $pid, 0;
print $? >> 8, "\n";
exit 5;
