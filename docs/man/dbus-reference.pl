#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# dbus-reference.pl TEMPLATE.pod INTERFACE.xml: the page with "=for reference" replaced by what the
# XML says: each property, method and signal with its signature and the comment before it.

use strict;
use warnings;

local $/;
my ($template, $xml) = map { open my $in, '<:encoding(UTF-8)', $_ or die "$_: $!\n"; <$in> } @ARGV;
binmode STDOUT, ':encoding(UTF-8)';

sub escaped {
    my ($text) = @_;
    $text =~ s/([<>])/$1 eq '<' ? 'E<lt>' : 'E<gt>'/ge;
    return $text;
}

# "(u timeout_sec, u flags)"
sub arguments {
    my ($body, $direction) = @_;
    my @found;
    while ($body =~ /<arg\s+([^>]*?)\/?>/g) {
        my %arg = $1 =~ /(\w+)="([^"]*)"/g;
        push @found, "$arg{type} $arg{name}" if ($arg{direction} // 'out') eq $direction;
    }
    return '(' . join(', ', @found) . ')';
}

# The comment without its "Name:"; lines of "@argument: ..." become a list before the rest.
sub prose {
    my ($comment, $name) = @_;
    $comment =~ s/^\s*\Q$name\E:[ \t]*//;
    my (@arguments, @text, $current);
    for my $line (split /\n/, $comment) {
        my ($indent, $words) = $line =~ /^(\s*)(.*?)\s*$/;
        if ($words =~ /^\@(\w+):\s*(.*)/) { push @arguments, [$1, $2]; $current = $arguments[-1] }
        elsif ($words eq '') { $current = undef; push @text, '' }
        elsif ($current) { $current->[1] .= " $words" }
        else { push @text, $words }
    }
    my $pod = join '', map { "I<$_->[0]>: " . escaped($_->[1]) . ".\n\n" } @arguments;
    return $pod . escaped(join "\n", @text) . "\n\n";
}

my %pod = map { $_ => '' } qw(property method signal);
while ($xml =~ /(?:<!--((?:(?!-->).)*)-->\s*)?<(property|method|signal)\s+name="(\w+)"([^>]*?)(?:\/>|>(.*?)<\/\2>)/gs) {
    my ($comment, $kind, $name, $attributes, $body) = ($1 // '', $2, $3, $4, $5 // '');
    my $signature = "B<$name>";
    if ($kind eq 'property') { $signature .= " I<$1>" if $attributes =~ /type="([^"]*)"/ }
    elsif ($kind eq 'signal') { $signature .= ' ' . arguments($body, 'out') }
    else {
        my $out = arguments($body, 'out');
        $signature .= ' ' . arguments($body, 'in') . ($out eq '()' ? '' : " -> $out");
        $signature =~ s/->/-E<gt>/;
    }
    $pod{$kind} .= "=item $signature\n\n" . prose($comment, $name);
}

my $reference = '';
for (['PROPERTIES', 'property'], ['METHODS', 'method'], ['SIGNALS', 'signal']) {
    my ($title, $kind) = @$_;
    $reference .= "=head1 $title\n\n=over 4\n\n$pod{$kind}=back\n\n";
}
$template =~ s/^=for reference\n/$reference/m or die "$ARGV[0]: no line '=for reference'\n";
print $template;
