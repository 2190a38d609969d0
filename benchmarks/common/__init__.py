"""What several wings share: places, inputs, figures, sets of media."""
