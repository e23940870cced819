"""What Dify's daemon and marketplace want of a package file, rule by rule."""
